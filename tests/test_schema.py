"""The JSON Schema of job files: current, strict, described."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ten.schema import job_schema

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "jobs/schema/job.schema.json"
JOBS = sorted((ROOT / "jobs").glob("*.yaml"))


def _objects(tree: Any) -> Iterator[dict[str, Any]]:
    return (one for one in tree["$defs"].values() if one["type"] == "object")


def _is_valid(text: str) -> bool:
    checked: bool = jsonschema.Draft202012Validator(job_schema()).is_valid(yaml.safe_load(text))
    return checked


def test_the_committed_schema_is_current() -> None:
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == json.loads(json.dumps(job_schema())), "`make schema`"


def test_no_object_takes_an_unknown_field_and_every_field_is_described() -> None:
    for one in _objects(job_schema()):
        assert one["additionalProperties"] is False
        assert all(field["description"] for field in one["properties"].values())


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_job_files_are_valid_and_name_the_schema_for_editors(job: Path) -> None:
    text = job.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=schema/job.schema.json\n")
    jsonschema.validate(yaml.safe_load(text), job_schema())


@pytest.mark.parametrize(
    "text",
    [
        "modee: full",
        "mode: pretokk",
        "train: {steps: many}",
        "train: {stepz: 3}",
        "limits: {max_cost: 0}",
        "secrets: {HF_TOKEN: hf_abc}",
        "secrets: [hf_abc]",
        "resources: {ordered: [{infra: do/tor1}]}",
        "resources: {accelerators: 'L40S:0'}",
        "version: 2",
    ],
)
def test_what_ten_refuses_an_editor_marks(text: str) -> None:
    assert not _is_valid(text)


@pytest.mark.parametrize("text", ["train: {steps: '${STEPS:-3}'}", "mode: ${MODE}", "image: ${TEN_IMAGE:-null}"])
def test_any_value_may_be_a_variable(text: str) -> None:
    assert _is_valid(text)
