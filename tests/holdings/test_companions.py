"""What goes along with a pack."""

import msgspec

from ten.data.manifest import encode_manifest
from ten.holdings.companions import companion_key
from ten.holdings.contents import read_manifest
from ten.holdings.naming import Holding
from ten.holdings.transfer import transfer
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from ten.text.bpe import train_bpe
from ten.text.corpus import Corpus, SourceFile
from ten.text.tokens import make_tokenizer
from tests.data.small import make_texts


def listing(pack: Holding, folder: LocalStore, revision: str = "local") -> Corpus:
    """A corpus as the pack's manifest names it."""
    manifest = read_manifest(folder, pack)
    assert manifest is not None
    files = (SourceFile(name="a", path="a", bytes=1),)
    return Corpus(dataset=manifest.dataset, slug=pack.name[:-13], revision=revision, files=files)


def test_pins_of_its_corpus_go_along_and_no_others(folder: LocalStore, pack: Holding) -> None:
    slug, corpus = pack.name[:-13], listing(pack, folder)
    ours, subset = f"pins/{slug}-01234567.json", f"pins/{slug}-{corpus.fingerprint[:12]}-01234567-first-10.json"
    folder.write(ours, msgspec.json.encode(corpus))
    folder.write(subset, b"[]")
    folder.write(f"pins/{slug}-89abcdef.json", msgspec.json.encode(listing(pack, folder, "of another commit")))
    folder.write(f"pins/{slug}-00000000.json", b"{")
    folder.write("pins/other-01234567.json", msgspec.json.encode(corpus))
    store = MemoryStore("memory:far/")
    transfer(folder, store, [pack])
    assert [stat.key for stat in store.list("pins/")] == sorted([ours, subset])


def test_a_pin_that_is_there_stays(folder: LocalStore, pack: Holding) -> None:
    name = f"pins/{pack.name[:-13]}-01234567.json"
    folder.write(name, msgspec.json.encode(listing(pack, folder)))
    store = MemoryStore("memory:far/")
    store.write(name, b"what others rely on")
    (moved,) = transfer(folder, store, [pack])
    assert store.read(name) == b"what others rely on"
    assert "stays as it is" in moved.notes[0]


def test_a_trained_tokenizer_goes_along_to_where_jobs_look_for_it(folder: LocalStore, pack: Holding) -> None:
    tree = train_bpe(make_texts(50, seed=4), 300)
    tokenizer = make_tokenizer("bpe:300", tree)
    manifest = read_manifest(folder, pack)
    assert manifest is not None
    changed = msgspec.structs.replace(
        manifest, tokenizer="bpe:300", tokenizer_fingerprint=tokenizer.fingerprint,
        end_of_document=tokenizer.end_of_document,
    )  # fmt: skip
    folder.write(pack.key("manifest.json"), encode_manifest(changed))
    folder.write(pack.key("tokenizer.json"), tokenizer.definition.encode())
    name = f"tokenizers/{pack.name[:-13]}-0123456789ab-bpe300.json"
    folder.write(companion_key(name, folder), msgspec.json.encode(tree))
    folder.write(companion_key(name.replace("0123456789ab", "ba9876543210"), folder), b"{")
    far, back = MemoryStore("memory:far/"), MemoryStore("memory:back/")
    transfer(folder, far, [pack])
    assert [stat.key for stat in far.list("tokenizers/")] == [name]
    transfer(far, back, [pack])
    assert back.read(name) == msgspec.json.encode(tree)
    assert companion_key(name, folder) == f"cache/{name}"
