"""What a job asks of a machine, and what it may not say."""

from pathlib import Path

import pytest

from ten.errors import SpecError
from ten.job import load_job
from ten.resources import ResourceSettings


def test_a_gpu_is_a_name_and_how_many() -> None:
    assert ResourceSettings(accelerators="L40S:2").gpu == ("L40S", 2)
    assert ResourceSettings(accelerators="H100").gpu == ("H100", 1)
    assert ResourceSettings().gpu is None


def test_a_misspelt_machine_is_named_with_its_line(tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(
        "resources:\n  ordered:\n    - {infra: do/tor1, instance_type: a}\n    - {infra: do, instance_typ: b}\n"
    )
    with pytest.raises(SpecError) as raised:
        load_job(job, {}, [])
    assert str(raised.value) == (
        f"{job}:4: resources.ordered[1].instance_typ: unknown setting; did you mean 'instance_type'?"
    )


def test_a_wrong_value_in_a_machine_is_shown(tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("resources:\n  ordered: [{infra: 'DO Toronto', instance_type: a}]\n")
    with pytest.raises(SpecError, match=r"job.yaml:2: resources.ordered\[0\].infra: 'DO Toronto'"):
        load_job(job, {}, [])


@pytest.mark.parametrize("wrong", ["resources.shm_size=much", "resources.disk_free=60XB"])
def test_a_size_that_is_none_is_named(wrong: str) -> None:
    with pytest.raises(SpecError, match=wrong.partition("=")[0]):
        load_job(None, {}, [wrong])


@pytest.mark.parametrize(
    "secrets",
    [
        "{HF_TOKEN: hf_canary}",
        "[HF_TOKEN=hf_canary]",
        "hf_canary",
        "[hf_canary]",
        "[AKIACANARY]",
        "[DO00CANARY]",
        "[{HF_TOKEN: hf_canary}]",
    ],
)
def test_a_value_among_the_secrets_is_an_error_that_does_not_show_it(secrets: str, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(f"secrets: {secrets}\n")
    for path, sets in ((job, []), (None, [f"secrets={secrets}"])):
        with pytest.raises(SpecError, match="names of environment variables alone") as raised:
            load_job(path, {}, sets)
        assert "canary" not in str(raised.value).lower()


def test_names_of_secrets_are_taken() -> None:
    spec = load_job(None, {}, ["secrets=[HF_TOKEN, SPACES_ACCESS_KEY_ID__MY_BUCKET]"])
    assert spec.secrets == ("HF_TOKEN", "SPACES_ACCESS_KEY_ID__MY_BUCKET")
