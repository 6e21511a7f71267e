"""What every rendering says of the container: the whole job, and nothing of this machine that is not there."""

import json
from pathlib import Path

import msgspec
import pytest

from ten.errors import SpecError
from ten.flags import parse_arguments
from ten.job import JobSpec, load_job
from ten.render.container import Container
from ten.render.formats import FORMATS, render

JOBS = sorted((Path(__file__).parents[2] / "jobs").glob("*.yaml"))


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_the_command_says_the_whole_job(job: Path) -> None:
    spec = load_job(job, {}, [])
    words = Container(spec).command
    said = load_job(None, {}, parse_arguments(words).set)
    outside = {"image": None, "secrets": (), "store": "/data"}
    wanted = msgspec.structs.replace(
        spec,
        **outside,
        resources=msgspec.structs.replace(spec.resources, accelerators=None, shm_size="2GiB", ordered=()),
    )
    assert said == wanted
    assert words[0] == ("pack" if spec.mode == "pack" else "train")


@pytest.mark.parametrize("value", ["true", "3", "null", "a: b", "it's $HOME", "1e3", "[x]", "#"])
def test_a_text_that_reads_like_something_else_stays_one(value: str) -> None:
    spec = load_job(None, {"run": None}, [f"data.text_column={json.dumps(value)}"])
    assert load_job(None, {}, parse_arguments(Container(spec).command).set).data.text_column == value


def test_a_dataset_here_is_mounted_where_it_is(tmp_path: Path) -> None:
    spec = load_job(None, {"data.dataset": f"{tmp_path}/books/*/a*.jsonl"}, [])
    container = Container(spec)
    assert container.read_folders == (tmp_path / "books",)
    assert f"data.dataset={tmp_path}/books/*/a*.jsonl" in container.command


@pytest.mark.parametrize("to", FORMATS)
def test_no_rendering_has_a_value_of_a_secret(elsewhere: JobSpec, to: str) -> None:
    text = render(elsewhere, to)
    assert "canary" not in text
    assert "HF_TOKEN" in text


@pytest.mark.parametrize("to", ["skypilot", "dstack"])
@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["image=ten:cuda"], "push it to a registry"),
        (["store=ten-data"], "throws its machine's disk away"),
        (["mode=full", "data.dataset=books/*.jsonl"], "render with --pretokenized"),
    ],
)
def test_what_only_this_machine_has_goes_nowhere_else(to: str, sets: list[str], says: str) -> None:
    usual = ["image=registry.example/ten:1", "store=s3://bucket/ten"]
    with pytest.raises(SpecError, match=says):
        render(load_job(None, {}, [*usual, *sets]), to)
