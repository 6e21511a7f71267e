"""A job with everything a rendering may have to say."""

import pytest

from ten.job import JobSpec, load_job


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> JobSpec:
    """A job for a rented machine."""
    monkeypatch.setenv("SPACES_REGION", "nyc3")
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    monkeypatch.setenv("HF_ENDPOINT", "https://user:canary@mirror.example")
    sets = [
        "name=far", "mode=pretok", "data.dataset=finewebedu", "store=s3://bucket/ten",
        "image=registry.example/me/ten:1",
        "resources.accelerators=L40S:1", "resources.shm_size=16GB", "resources.disk_free=60GB",
        "resources.price_per_hour=2", "secrets=[HF_TOKEN, SPACES_ACCESS_KEY_ID]", "limits.max_duration=6h",
        "limits.idle=15m", "train.warmup=10M",
        "resources.ordered=[{infra: do/tor1, instance_type: gpu-l40sx1-48gb},"
        "{infra: do/nyc2, instance_type: gpu-6000adax1-48gb}]",
    ]  # fmt: skip
    return load_job(None, {}, sets)
