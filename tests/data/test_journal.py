"""The journal: a unit that was cut off goes on behind its last whole segment, to the same bytes."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ten.data.journal import Journal, Place
from ten.data.packing import Work, pack_unit
from ten.data.recipe import Recipe
from ten.text.engines import Ids
from ten.text.flow import Flow
from ten.text.units import Part, Unit
from tests.data.small import make_texts, recipe_of, run_python, small_tokenizer, write_parquet

ROOT = str(Path(__file__).parents[2])


class Interrupted(Exception):
    """What a kill is here."""


class CountingEncoder:
    """The reference; knows what it was asked for."""

    name = "counting"

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, text: str) -> Ids:
        self.texts.append(text)
        return np.array(small_tokenizer().encode(text), dtype=np.uint32)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Two files of seven and five row groups in one unit, the second cut short by the subset."""
    texts = make_texts(110)
    (tmp_path / "corpus").mkdir()
    write_parquet(tmp_path / "corpus" / "a.parquet", texts[:65])
    write_parquet(tmp_path / "corpus" / "b.parquet", [*texts[65:], None])
    unit = Unit(index=0, parts=(Part(file=0), Part(file=1, records=39)))
    return msgspec.structs.replace(recipe_of(tmp_path / "corpus"), units=(unit,))


def stopping_after(segments: int) -> Callable[[], None]:
    left = [segments]

    def pause() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Interrupted

    return pause


def open_journal(recipe: Recipe, path: Path) -> Journal:
    return Journal(path, recipe.fingerprint, 0)


@pytest.mark.parametrize("segments", [1, 3, 7, 8, 10])
def test_a_unit_that_was_cut_off_goes_on_to_the_same_bytes(recipe: Recipe, tmp_path: Path, segments: int) -> None:
    path = tmp_path / "growing" / "00000.journal"
    whole, first, second = CountingEncoder(), CountingEncoder(), CountingEncoder()
    expected = pack_unit(recipe, recipe.units[0], whole)
    journal = open_journal(recipe, path)
    with pytest.raises(Interrupted):
        pack_unit(recipe, recipe.units[0], first, Work(journal=journal, pause=stopping_after(segments)))
    journal.close(done=False)
    shown = 0

    def grow(tokens: Ids, _ends: object) -> None:
        nonlocal shown
        shown += len(tokens)

    journal = open_journal(recipe, path)
    assert pack_unit(recipe, recipe.units[0], second, Work(journal=journal, grow=grow)) == expected
    journal.close(done=True)
    assert first.texts + second.texts == whole.texts
    assert shown > len(expected) // 4
    assert not path.exists()


@pytest.mark.parametrize("torn", [1, 40, 700])
def test_what_was_torn_off_is_packed_again(recipe: Recipe, tmp_path: Path, torn: int) -> None:
    path = tmp_path / "00000.journal"
    expected = pack_unit(recipe, recipe.units[0], CountingEncoder())
    journal = open_journal(recipe, path)
    with pytest.raises(Interrupted):
        pack_unit(recipe, recipe.units[0], CountingEncoder(), Work(journal=journal, pause=stopping_after(5)))
    journal.close(done=False)
    path.write_bytes(path.read_bytes()[:-torn])
    journal = open_journal(recipe, path)
    again = CountingEncoder()
    assert pack_unit(recipe, recipe.units[0], again, Work(journal=journal)) == expected
    assert 0 < len(again.texts) < 104
    journal.close(done=True)


def test_a_damaged_record_and_all_behind_it_are_dropped(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "00000.journal"
    journal = open_journal(recipe, path)
    for segments in (1, 2, 3):
        journal.append(Place(segments=segments), 0, 0, [])
    journal.close(done=False)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b'"sha256":"', b'"sha256":"0') + lines[2])
    journal = open_journal(recipe, path)
    assert [harvest.place.segments for harvest, _ in journal.read()] == [1]
    journal.close(done=False)
    assert path.read_bytes() == lines[0]


def test_nothing_counts_behind_a_record_that_is_gone(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "00000.journal"
    journal, ends = open_journal(recipe, path), [0]
    for number in (1, 2, 3):
        journal.append(Place(segments=number), 0, 0, [])
        ends.append(path.stat().st_size)
    journal.close(done=False)
    whole = path.read_bytes()
    path.write_bytes(whole[: ends[1]] + whole[ends[2] :])
    journal = open_journal(recipe, path)
    assert [harvest.place.segments for harvest, _ in journal.read()] == [1]
    journal.append(Place(segments=2), 0, 0, [])
    journal.close(done=False)
    assert path.read_bytes() == whole[: ends[2]]


@pytest.mark.parametrize("lengths", [b"[-1]", b"[999999999999999999]"])
def test_lengths_that_cannot_be_are_no_record(recipe: Recipe, tmp_path: Path, lengths: bytes) -> None:
    path = tmp_path / "00000.journal"
    journal = open_journal(recipe, path)
    journal.append(Place(segments=1), 0, 0, [])
    journal.close(done=False)
    path.write_bytes(path.read_bytes().replace(b'"lengths":[]', b'"lengths":' + lengths))
    journal = open_journal(recipe, path)
    assert list(journal.read()) == []
    journal.close(done=False)


def test_the_journal_of_another_recipe_counts_for_nothing(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "00000.journal"
    journal = Journal(path, "f" * 64, 0)
    journal.append(Place(segments=1), 0, 0, [])
    journal.close(done=False)
    journal = open_journal(recipe, path)
    assert list(journal.read()) == []
    journal.close(done=False)


def test_two_packers_of_one_unit_do_not_mix(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "00000.journal"
    first, second = open_journal(recipe, path), open_journal(recipe, path)
    second.append(Place(segments=9), 0, 0, [])
    assert list(second.read()) == []
    second.close(done=True)
    first.append(Place(segments=1), 0, 0, [])
    first.close(done=False)
    assert path.exists()


@pytest.mark.parametrize("size", [3000, 100_000])
def test_a_full_disk_is_said_as_such(tmp_path: Path, size: int) -> None:
    code = f"""
import resource, sys
from pathlib import Path
import numpy as np
from ten.data.journal import Journal, Place
from ten.errors import DiskFull
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
journal = Journal(Path(sys.argv[1]), "f" * 64, 0)
try:
    try:
        journal.append(Place(segments=1), 0, 0, [np.zeros({size}, dtype="u1")])
    finally:
        journal.close(done=False)
except DiskFull as error:
    print("no room" in str(error))
"""
    assert run_python(code, str(tmp_path / "a.journal"), PYTHONPATH=ROOT).strip() == "True"


def test_a_flow_that_skips_nothing_changes_nothing(recipe: Recipe) -> None:
    work = Work(flow=Flow(ahead=lambda: 0))
    assert pack_unit(recipe, recipe.units[0], CountingEncoder(), work) == pack_unit(
        recipe, recipe.units[0], CountingEncoder()
    )
    assert work.text_bytes > 0 and work.tokenize_s > 0
