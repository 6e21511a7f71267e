"""A machine that never saw the data, with nothing but `.env`, reads what another has packed into the store."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.small import make_texts, write_jsonl
from tests.end_to_end.bundle import TINY
from tests.end_to_end.hub_bundle import ended
from tests.standins.s3 import S3Stand, without_stores

DATASET = "some tales/*.jsonl"


class EnvMachine:
    """A working folder whose `.env` names the store and its keys, and processes that know of them by that alone."""

    def __init__(self, stand: S3Stand, address: str, folder: Path) -> None:
        self.work, self._home = folder / "work", folder / "home"
        self.work.mkdir(parents=True)
        lines = [f"{name}='{value}'" for name, value in stand.environment(TEN_STORE=address).items()]
        lines += ["# the folder in front of it", f"TEN_CACHE_DIR='{folder / 'cache #1'}'  # a comment", ""]
        (self.work / ".env").write_text("\n".join(lines))

    def ten(self, verb: str, *words: str, mode: str = "", code: int = 0) -> str:
        """Run a verb in the working folder; what it prints."""
        environment = {name: value for name, value in without_stores(os.environ).items() if not name.startswith("TEN_")}
        flags = ["--dataset", DATASET, "--tokenizer", "bpe:400", *([f"--set=mode={mode}"] if mode else [])]
        process = subprocess.Popen(
            [sys.executable, "-m", "ten.cli", verb, *flags, *words], cwd=self.work,
            env=environment | {"HOME": str(self._home), "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        done = ended(process, code)
        return done.stdout + done.stderr


@pytest.fixture
def machines(stand: S3Stand, tmp_path: Path) -> tuple[EnvMachine, EnvMachine]:
    """One with the text, and an empty one."""
    address = stand.new_bucket() + "/a/prefix"
    full, empty = (EnvMachine(stand, address, tmp_path / name) for name in ("full", "empty"))
    (full.work / "some tales").mkdir()
    for number in range(2):
        write_jsonl(full.work / "some tales" / f"{number}.jsonl", make_texts(300, seed=number))
    return full, empty


def test_pack_here_and_train_there(machines: tuple[EnvMachine, EnvMachine], stand: S3Stand, tmp_path: Path) -> None:
    full, empty = machines
    training = [*TINY, "--seq-len", "64", "--batch-size", "4", "--set", "train.evaluate_tokens=1K", "--steps", "4"]
    missing = empty.ten("train", *training, mode="pretok", code=66)
    assert "no file there" in missing or "no such file" in missing
    full.ten("pack")
    said = empty.ten("train", *training, mode="pretok")
    assert f"{DATASET}: is not on this machine; what another one packed is read (s3://" in said
    assert "finished at step 4" in said
    assert (tmp_path / "empty" / "cache #1" / "packs").is_dir()
    assert not list(empty.work.rglob("*.jsonl")) and not (tmp_path / "empty" / "home" / ".cache" / "ten").exists()
    streamed = full.ten("train", *training, "--name", "other")
    assert streamed.split("loss ")[1].split()[0] == said.split("loss ")[1].split()[0]
