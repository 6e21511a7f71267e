"""A job as a Compose file, held to the Compose specification's own schema."""

import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

from ten.job import JobSpec, load_job
from ten.render.compose import render_compose

JOBS = sorted((Path(__file__).parents[2] / "jobs").glob("*.yaml"))


def _check(text: str) -> dict[str, object]:
    schema = resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    tree: dict[str, object] = yaml.safe_load(text)
    jsonschema.validate(tree, json.loads(schema.read_text(encoding="utf-8")))
    return tree


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_every_job_is_a_valid_compose_file(job: Path) -> None:
    _check(render_compose(load_job(job, {}, [])))


def test_names_of_secrets_pass_through_and_dollars_are_doubled(elsewhere: JobSpec) -> None:
    tree = _check(render_compose(elsewhere))
    service = tree["services"]["far"]  # type: ignore[index]
    assert service["environment"] == {
        "HF_TOKEN": None,
        "SPACES_ACCESS_KEY_ID": None,
        "SPACES_REGION": None,
        "TEN_IMAGE": service["image"],
    }
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert (device["count"], device["capabilities"]) == (1, ["gpu"])
    text = render_compose(load_job(None, {}, ["data.text_column=a$b"]))
    assert "data.text_column=a$$b" in text
