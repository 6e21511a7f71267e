"""Units cover every file once, whatever the sizes, and a subset is the same documents in every format."""

import itertools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.data.recipe import Recipe
from ten.text import units as units_module
from ten.text.corpus import SourceFile
from ten.text.documents import read_documents
from ten.text.units import MAX_UNIT_TEXT_BYTES, Part, Unit, first_records, plan_units, text_bytes, unit_text_bytes
from tests.data.small import make_texts, recipe_of, write_jsonl, write_parquet, write_texts

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".txt", ".py")
FILES = st.lists(
    st.tuples(st.sampled_from(SUFFIXES), st.one_of(st.integers(0, 9000), st.integers(0, 2**34))), max_size=40
)


def listing(described: list[tuple[str, int]]) -> list[SourceFile]:
    return [SourceFile(name=f"{k}{suffix}", path="", bytes=size) for k, (suffix, size) in enumerate(described)]


@given(FILES)
def test_every_part_of_every_file_belongs_to_one_unit(described: list[tuple[str, int]]) -> None:
    files = listing(described)
    units = plan_units(files)
    assert [unit.index for unit in units] == list(range(len(units)))
    parts = [part for unit in units for part in unit.parts]
    assert [(part.file, part.part) for part in parts] == sorted({(part.file, part.part) for part in parts})
    assert Counter(part.file for part in parts) == {number: parts_of(parts, number) for number in range(len(files))}
    for number, file in enumerate(files):
        cuts = [
            (file.bytes * part.part // part.parts, file.bytes * (part.part + 1) // part.parts)
            for part in parts
            if part.file == number
        ]
        assert cuts[0][0] == 0 and cuts[-1][1] == file.bytes
        assert all(before[1] == after[0] for before, after in itertools.pairwise(cuts))


@given(FILES, st.integers(0, 40))
def test_no_unit_reaches_over_the_start_of_the_held_out_files(described: list[tuple[str, int]], held_out: int) -> None:
    files = listing(described)
    held_out = min(held_out, len(files))
    units = plan_units(files, held_out)
    for unit in units:
        assert len({part.file < len(files) - held_out for part in unit.parts}) == 1
    parts = [(part.file, part.part, part.parts) for unit in units for part in unit.parts]
    assert parts == [(part.file, part.part, part.parts) for unit in plan_units(files) for part in unit.parts]
    assert [unit.index for unit in units] == list(range(len(units)))


def parts_of(parts: list[Part], file: int) -> int:
    (count,) = {part.parts for part in parts if part.file == file}
    return count


@given(FILES)
def test_units_are_no_larger_than_wanted_unless_a_file_cannot_be_split(described: list[tuple[str, int]]) -> None:
    files = listing(described)
    target = unit_text_bytes(files)
    assert target <= MAX_UNIT_TEXT_BYTES
    for unit in plan_units(files):
        size = sum(text_bytes(files[part.file]) / part.parts for part in unit.parts)
        assert size <= target + 1 or len(unit.parts) == 1


@given(FILES)
def test_two_neighbours_are_grouped_where_they_fit(described: list[tuple[str, int]]) -> None:
    files = listing(described)
    units = plan_units(files)
    whole = [unit for unit in units if unit.parts[0].parts == 1]
    for before, after in itertools.pairwise(whole):
        if after.index == before.index + 1:
            together = sum(text_bytes(files[part.file]) for part in (*before.parts, after.parts[0]))
            assert together > unit_text_bytes(files)


def test_files_that_do_not_split_stay_whole() -> None:
    for suffix in (".jsonl.gz", ".jsonl.zst", ".txt"):
        assert plan_units(listing([(suffix, 2**35)])) == (Unit(index=0, parts=(Part(file=0),)),)
    assert len(plan_units(listing([(".parquet", 2**35)]))) == 2**36 // MAX_UNIT_TEXT_BYTES


def test_a_small_corpus_still_has_units_to_shuffle() -> None:
    assert 30 <= len(plan_units(listing([(".jsonl", 10**7)]))) <= 34


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), min_size=1, max_size=8), st.integers(1, 60))
def test_the_first_records_are_taken_in_order(counts: list[list[int]], limit: int) -> None:
    number = iter(range(100))
    units = [Unit(index=k, parts=tuple(Part(file=next(number)) for _ in unit)) for k, unit in enumerate(counts)]
    flat = [count for unit in counts for count in unit]
    asked: list[int] = []

    def count(part: Part, most: int) -> int:
        asked.append(flat[part.file])
        return min(flat[part.file], most)

    kept = first_records(units, limit, count)
    taken = [
        min(flat[part.file], flat[part.file] if part.records is None else part.records)
        for unit in kept
        for part in unit.parts
    ]
    assert sum(taken) == min(limit, sum(flat))
    assert taken[:-1] == flat[: len(taken) - 1]
    assert [part.file for unit in kept for part in unit.parts] == list(range(len(taken)))
    assert [unit.index for unit in kept] == list(range(len(kept)))
    assert sum(asked[:-1]) <= limit


def texts_of(recipe: Recipe) -> list[str | None]:
    """The records a recipe's units hold."""
    texts: list[str | None] = []
    for unit in recipe.units:
        for part in unit.parts:
            file = recipe.corpus.files[part.file]
            some = list(read_documents(file, part.part, part.parts, recipe.corpus.text_column))
            texts += some if part.records is None else some[: part.records]
    return texts


@pytest.fixture(scope="module")
def same_texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same documents in every format."""
    folder, texts = tmp_path_factory.mktemp("formats"), make_texts(120)
    return {
        "parquet": write_parquet(folder / "a.parquet", texts, group=7),
        "jsonl": write_jsonl(folder / "a.jsonl", texts),
        "gz": write_jsonl(folder / "a.jsonl.gz", texts),
        "zst": write_jsonl(folder / "a.jsonl.zst", texts),
        "txt": write_texts(folder / "texts", texts),
    }


@pytest.mark.parametrize("subset", [None, 1, 7, 50, 119, 120, 1000])
def test_a_subset_is_the_same_documents_in_every_format(same_texts: dict[str, Path], subset: int | None) -> None:
    for name, path in same_texts.items():
        assert texts_of(recipe_of(path, subset_size=subset)) == make_texts(120)[:subset], name


def test_a_subset_of_everything_is_the_whole_corpus(same_texts: dict[str, Path]) -> None:
    for path in same_texts.values():
        assert recipe_of(path, subset_size=120) == recipe_of(path)
        assert recipe_of(path, subset_size=119).fingerprint != recipe_of(path).fingerprint


def test_these_tests_have_more_than_one_unit(same_texts: dict[str, Path]) -> None:
    assert units_module._MIN_UNIT_TEXT_BYTES == 2048
    assert {name: len(recipe_of(path).units) > 4 for name, path in same_texts.items()} == {
        "parquet": True, "jsonl": True, "gz": False, "zst": False, "txt": True,
    }  # fmt: skip
