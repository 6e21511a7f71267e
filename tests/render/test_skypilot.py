"""A job as a SkyPilot task, held to SkyPilot itself where it is installed."""

from pathlib import Path

import pytest
import yaml

from ten.job import JobSpec, load_job
from ten.render.skypilot import render_skypilot

CATALOG = """InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,SpotPrice
gpu-l40sx1-48gb,L40S,1.0,8.0,64.0,1.57,tor1,{},
gpu-6000adax1-48gb,RTX6000-Ada,1.0,8.0,64.0,1.57,nyc2,{},
"""


def test_a_machine_that_stops_is_always_destroyed(elsewhere: JobSpec) -> None:
    for sets in ([], ["resources.ordered=[]"], ["resources.accelerators=null", "resources.ordered=[]"]):
        spec = load_job(None, {}, ["store=s3://b/t", "image=registry.example/ten:1", *sets])
        assert yaml.safe_load(render_skypilot(spec))["resources"]["autostop"]["down"] is True
    assert yaml.safe_load(render_skypilot(elsewhere))["resources"]["autostop"]["down"] is True


def test_its_disk_has_room_for_the_system_and_the_image_too(elsewhere: JobSpec) -> None:
    assert yaml.safe_load(render_skypilot(elsewhere))["resources"]["disk_size"] == 60 + 60


def test_secrets_are_asked_for_by_name(elsewhere: JobSpec) -> None:
    tree = yaml.safe_load(render_skypilot(elsewhere))
    assert tree["secrets"] == {"HF_TOKEN": None, "SPACES_ACCESS_KEY_ID": None}
    assert tree["envs"] == {"SPACES_REGION": "nyc3"}
    assert "--env HF_TOKEN" in tree["run"]


@pytest.mark.filterwarnings("ignore")
def test_skypilot_takes_it(elsewhere: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sky", reason="pip install skypilot")
    catalog = tmp_path / ".sky/catalogs/v8/do/vms.csv"  # else it is fetched from the network
    catalog.parent.mkdir(parents=True)
    catalog.write_text(CATALOG, encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SKYPILOT_DISABLE_USAGE_COLLECTION", "1")
    import sky
    import sky.catalog.common

    monkeypatch.setattr(sky.catalog.common, "_ABSOLUTE_VERSIONED_CATALOG_DIR", str(catalog.parents[1]))
    path = tmp_path / "task.yaml"
    path.write_text(render_skypilot(elsewhere), encoding="utf-8")
    task = sky.Task.from_yaml(str(path))
    assert len(task.resources) == 2
    assert all(one.autostop_config.down for one in task.resources)
