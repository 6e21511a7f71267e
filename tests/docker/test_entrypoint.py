"""docker/entrypoint.sh without an image: what its words become, and that the signal reaches what it starts."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ten.flags import VERBS

ROOT = Path(__file__).parents[2]
TEN = """#!/usr/bin/env bash
printf '%s\\n' "ten" "$@" "HF_TOKEN=${HF_TOKEN-}"
[[ "$1" != train ]] || { trap 'exit 75' TERM; echo ready; while :; do sleep 0.05; done; }
[[ "$1" != pack ]] || exit 65
"""


@pytest.fixture
def entrypoint(tmp_path: Path) -> Path:
    """The script beside the list of verbs that the build writes, with a `ten` that says its words."""
    folder = tmp_path / "docker"
    folder.mkdir()
    copied = Path(shutil.copy(ROOT / "docker" / "entrypoint.sh", folder))
    (folder / "verbs").write_text("\n".join(VERBS) + "\n", encoding="utf-8")
    (folder / "ten").write_text(TEN, encoding="utf-8")
    (folder / "ten").chmod(0o755)
    (folder / "python").symlink_to(sys.executable)
    return copied


def run(entrypoint: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The script to its end."""
    path = f"{entrypoint.parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **variables}
    return subprocess.run([entrypoint, *words], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [(), ("help",)])
def test_without_words_it_asks_for_help(entrypoint: Path, words: tuple[str, ...]) -> None:
    assert run(entrypoint, *words).stdout.splitlines()[:2] == ["ten", "--help"]


def test_words_reach_a_verb_whole(entrypoint: Path) -> None:
    words = ["plan", "two  words", "$HOME", "'", ""]
    assert run(entrypoint, *words).stdout.splitlines()[1:6] == words


def test_a_flag_is_for_ten(entrypoint: Path) -> None:
    assert run(entrypoint, "--version").stdout.splitlines()[:2] == ["ten", "--version"]


def test_a_verb_s_exit_code_is_the_script_s(entrypoint: Path) -> None:
    assert run(entrypoint, "pack").returncode == 65


def test_a_shell_is_a_shell(entrypoint: Path) -> None:
    assert run(entrypoint, "bash", "-c", "echo $((6 * 7))").stdout == "42\n"


@pytest.mark.parametrize(
    ("word", "said"), [("trian", "did you mean 'train'?"), ("bsh", "did you mean 'bash'?"), ("xyzzy", "it knows")]
)
def test_an_unknown_word_is_64_with_the_nearest_known(entrypoint: Path, word: str, said: str) -> None:
    ended = run(entrypoint, word)
    assert ended.returncode == 64
    assert said in ended.stderr
    assert repr(word) in ended.stderr


def test_a_secret_in_a_file_arrives_whole(entrypoint: Path, tmp_path: Path) -> None:
    value = "a$b #c 'd' \"e\" \\ f  g"
    (tmp_path / "token").write_text(f"{value}\n", encoding="utf-8")
    assert f"HF_TOKEN={value}\n" in run(entrypoint, "plan", HF_TOKEN_FILE=str(tmp_path / "token")).stdout


def test_the_file_of_variables_goes_before_the_image_s_own_folders(entrypoint: Path, tmp_path: Path) -> None:
    image = {"TEN_STORE": "/data", "TEN_CACHE_DIR": "/data/cache", "PYTHONPATH": str(ROOT)}
    file = tmp_path / "env"
    file.write_text("TEN_STORE=s3://bucket/ten\nHF_TOKEN='a$b #c'\n", encoding="utf-8")
    said = run(entrypoint, "bash", "-c", 'echo "$TEN_STORE $TEN_CACHE_DIR $HF_TOKEN"', TEN_ENV_FILE=str(file), **image)
    assert said.stdout == "s3://bucket/ten /data/cache a$b #c\n", said.stderr
    given = run(entrypoint, "bash", "-c", 'echo "$TEN_STORE"', TEN_ENV_FILE=str(file), **{**image, "TEN_STORE": ""})
    assert given.stdout == "\n"
    missing = run(entrypoint, "plan", TEN_ENV_FILE="/nowhere", **image)
    assert missing.returncode == 66 and "/nowhere" in missing.stderr


def test_a_secret_that_cannot_be_read_is_named(entrypoint: Path) -> None:
    ended = run(entrypoint, "plan", HF_TOKEN_FILE="/nowhere")
    assert ended.returncode == 66
    assert "HF_TOKEN_FILE=/nowhere" in ended.stderr


def test_sigterm_reaches_the_trainer_and_its_exit_code_comes_back(entrypoint: Path) -> None:
    environment = {**os.environ, "PATH": f"{entrypoint.parent}:{os.environ['PATH']}"}
    with subprocess.Popen([entrypoint, "train"], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert any(line == "ready\n" for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 75
