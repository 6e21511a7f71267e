"""How a job runs on a droplet."""

import json
import shlex

from ten.cloud.offers import Candidate
from ten.cloud.unit import container, job_file, job_unit
from ten.data.settings import DataSettings
from ten.job import JobSpec, LimitSettings

GPU = Candidate(size="gpu-l40sx1-48gb", region="tor1", price_per_hour=1.57, in_stock=True)
CPU = Candidate(size="s-2vcpu-4gb", region="tor1", price_per_hour=0.04, in_stock=True)
SPEC = JobSpec(image="registry.example.com/me/ten", secrets=("HF_TOKEN",), limits=LimitSettings(stop_grace="7m"))


def test_the_container_is_held_tightly_and_its_secrets_are_no_arguments() -> None:
    words = container(SPEC, GPU)
    assert {"--read-only", "--cap-drop", "no-new-privileges"} <= set(words)
    assert words[words.index("--gpus") + 1] == "all" and "--gpus" not in container(SPEC, CPU)
    assert words[words.index("--env-file") + 1].startswith("/run/") and "HF_TOKEN" not in " ".join(words)
    assert words[-3:] == ["registry.example.com/me/ten", "train", "/job/job.yaml"]


def test_a_stop_leaves_the_job_its_grace_at_every_level() -> None:
    unit = job_unit(SPEC, GPU)
    assert "--stop-timeout 420" in unit and "docker stop -t 420" in unit and "TimeoutStopSec=450" in unit


def test_a_job_that_its_store_has_failed_is_started_again_for_its_checkpoint_is_here_alone() -> None:
    unit = job_unit(SPEC, GPU)
    assert "RestartForceExitStatus=69 74\n" in unit and "SuccessExitStatus=75\n" in unit
    limits = unit.partition("[Service]")[0]
    assert "StartLimitBurst=6\n" in limits and "Restart=" not in unit


def test_what_means_something_to_systemd_is_escaped() -> None:
    unit = job_unit(JobSpec(image='x/%i$HOME "q"'), GPU)
    (line,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert 'x/%i$HOME "q"' in [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(line[10:])]


def test_the_job_file_is_resolved_and_has_this_machines_price_and_budget() -> None:
    spec = JobSpec(mode="pack", data=DataSettings(cache_dir="/home/me/fast"), store="s3://b/ten")
    job = json.loads(job_file(spec, 1.57, "r", 9.5))
    assert (job["run"], job["resources"]["price_per_hour"], job["limits"]["max_cost"]) == ("r", 1.57, 9.5)
    assert job["store"] == "s3://b/ten" and job["data"]["cache_dir"] is None
    assert container(spec, CPU)[-2] == "pack"
