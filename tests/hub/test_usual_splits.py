"""Splits where no card names them: as the `datasets` library finds them."""

import warnings
from pathlib import Path

from ten.hub.patterns import below
from ten.hub.usual_splits import usual_splits

LAYOUTS = {
    "shards": [
        "data/train-00000-of-00002-a1b2.parquet",
        "data/train-00001-of-00002-c3d4.parquet",
        "data/my_split-00000-of-00001.parquet",
        "train.txt",
    ],
    "folders": ["train/a.jsonl", "train/b.jsonl", "dev/a.jsonl", "en-test/deep/a.jsonl", "other/a.jsonl"],
    "folder words": ["x/validation-1/a.txt", "training data/a.txt", "attest/a.txt"],
    "file names": ["train.jsonl", "b_train_1.jsonl", "val0.jsonl", "my.eval.jsonl", "constraints.jsonl"],
    "no split": ["a.txt", "deep/b.txt", "trainer.txt"],
    "hidden": [".git/train.txt", "a.txt", "__pycache__/b.txt"],
}


def split(names: list[str]) -> dict[str, list[str]]:
    return {name: sorted(files) for name, files in usual_splits(below("", names)).items()}


def test_shards_in_data_decide() -> None:
    assert split(LAYOUTS["shards"]) == {
        "train": ["data/train-00000-of-00002-a1b2.parquet", "data/train-00001-of-00002-c3d4.parquet"],
        "my_split": ["data/my_split-00000-of-00001.parquet"],
    }


def test_folders_go_before_file_names() -> None:
    assert split(["train/test.txt", "train/x.txt"]) == {"train": ["train/test.txt", "train/x.txt"]}


def test_a_split_is_a_whole_word() -> None:
    assert split(LAYOUTS["file names"]) == {
        "train": ["b_train_1.jsonl", "train.jsonl"],
        "validation": ["val0.jsonl"],
        "test": ["my.eval.jsonl"],
    }


def test_everything_is_for_training_where_nothing_says_otherwise() -> None:
    assert split(LAYOUTS["no split"]) == {"train": ["a.txt", "deep/b.txt", "trainer.txt"]}
    assert split([]) == {}


def test_the_datasets_library_finds_the_same(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datasets.data_files import DataFilesDict, get_data_patterns
    for title, names in LAYOUTS.items():
        root = tmp_path / title.replace(" ", "")
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("x")
        found = DataFilesDict.from_patterns(get_data_patterns(str(root)), base_path=str(root))
        theirs = {
            str(kind): sorted(Path(file).relative_to(root).as_posix() for file in files)
            for kind, files in found.items()
        }
        assert split(names) == theirs, title
