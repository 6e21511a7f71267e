"""A job as a dstack task, held to dstack's own parser where it is installed."""

import pytest
import yaml

from ten.job import JobSpec, load_job
from ten.render.dstack import render_dstack


def test_its_limits_come_behind_the_job_s_own(elsewhere: JobSpec) -> None:
    tree = yaml.safe_load(render_dstack(elsewhere))
    assert tree["max_duration"] == f"{6 * 3600 + 300 + 60}s"
    assert tree["stop_duration"] == "300s"
    assert tree["utilization_policy"] == {"min_gpu_utilization": 1, "time_window": f"{15 * 60 + 300}s"}
    assert tree["idle_duration"] == "0s"
    assert tree["resources"]["disk"] == "120GB.."
    assert tree["env"] == [
        "HF_TOKEN",
        "SPACES_ACCESS_KEY_ID",
        "SPACES_REGION=nyc3",
        "TEN_IMAGE=registry.example/me/ten:1",
    ]
    assert tree["instance_types"] == ["gpu-l40sx1-48gb", "gpu-6000adax1-48gb"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "sets", [[], ["mode=pack", "limits.idle=1m"], ["resources.accelerators=H100:8", "limits.idle=1m"]]
)
def test_dstack_takes_it(elsewhere: JobSpec, sets: list[str]) -> None:
    pytest.importorskip("dstack", reason="pip install dstack")
    from dstack._internal.core.models.configurations import parse_apply_configuration

    small = load_job(None, {}, ["name=Far_1.2", "store=s3://b/t", "image=registry.example/ten:1", *sets])
    for spec in (small, elsewhere):
        task = parse_apply_configuration(yaml.safe_load(render_dstack(spec)))
        assert task.type == "task"
        assert str(task.image) == spec.image
