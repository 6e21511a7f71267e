"""A day in the life, as real processes: rented, packed, trained, killed, rented again, resumed, ended by its budget."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ten.errors import MissingInput
from ten.train.metrics import StepMetrics, read_metrics
from ten.train.run_record import RunRecord, decode_run
from tests.end_to_end.bundle import TINY
from tests.end_to_end.store_bundle import StoreBundle
from tests.standins import digitalocean
from tests.standins.digitalocean import DigitalOcean
from tests.standins.digitalocean_catalog import PUBLIC_KEY
from tests.standins.s3 import CANARIES, S3Stand

DEAR, BUDGET = 3600.0, 210
"""A machine of a dollar a second, and dollars of which all but some seconds' worth is for its beginning and end."""
SECRETS = "secrets=[SPACES_ACCESS_KEY_ID, SPACES_SECRET_ACCESS_KEY]"


class Laptop(StoreBundle):
    """The machine from which droplets are rented."""

    account: DigitalOcean

    def environment(self, **more: str) -> dict[str, str]:
        found = super().environment(**more)
        path = f"{self.account.folder}/bin:{found['PATH']}"
        return found | self.account.environment() | {"PATH": path, "SSH_AUTH_SOCK": ""}

    def words(self) -> list[str]:
        """What every verb of the job is told."""
        return [
            *TINY, "--seq-len", "256", "--set", "data.subset_size=120", "--set", "run=r",
            "--set", "checkpoint.every=40", "--set", "train.evaluate_tokens=4K",
        ]  # fmt: skip

    def up(self, *words: str) -> str:
        """Rent a droplet for the job; what was said."""
        image = ["--set", "image=registry.example.com/me/ten", "--set", SECRETS, "--set", "limits.stop_grace=5s"]
        done = self.run("up", *self.words(), *image, "--yes", *words)
        return done.stdout + done.stderr

    def record(self) -> RunRecord:
        """The run's record as the store has it."""
        return decode_run(self.read("runs/r/run.json"), "run.json")

    def checkpoints(self) -> list[str]:
        """The complete ones in the store."""
        return [key.split("/")[3] for key in self.keys("runs/r/checkpoints/") if key.endswith("/COMPLETE")]


@pytest.fixture
def laptop(stand: S3Stand, tmp_path: Path) -> Iterator[Laptop]:
    """A laptop with an account at DigitalOcean and a bucket, and nothing in either."""
    with DigitalOcean(tmp_path / "droplets") as account:
        account.new_polls = 0
        laptop = Laptop(stand, stand.new_bucket() + "/here", tmp_path / "laptop", Path("stdlib"), Path("bpe:600"))
        laptop.account = account
        (laptop.home / ".ssh").mkdir()
        (laptop.home / ".ssh" / "id_ed25519.pub").write_text(PUBLIC_KEY)
        yield laptop


def wait_until(said: Callable[[], object], laptop: Laptop) -> None:
    deadline = time.monotonic() + 90
    while not said():
        assert time.monotonic() < deadline, journals(laptop)
        time.sleep(0.05)


def journals(laptop: Laptop) -> str:
    """What the units of all droplets said."""
    assert laptop.account.folder is not None
    return "\n".join(path.read_text() for path in sorted(laptop.account.folder.glob("*/journal")))


def facts(metrics: list[StepMetrics]) -> list[tuple[int, str, float]]:
    return [(line.step, line.rows_sha256, line.loss) for line in metrics]


def test_a_day_in_the_life(laptop: Laptop, tmp_path: Path) -> None:
    account = laptop.account
    packing = ["--set", "mode=pack", "--set", "resources.ordered=[{infra: do/nyc1, instance_type: s-2vcpu-4gb}]"]
    told = laptop.up(*packing, "--set", "limits.max_duration=1h")
    assert "ten logs r --follow" in told
    wait_until(lambda: not account.machines, laptop)
    assert [key for key in laptop.keys("packs/") if key.endswith("manifest.json")], journals(laptop)

    training = ["--pretokenized", "--batch-size", "4", "--steps", "100000"]
    told += laptop.up(*training, "--set", "limits.max_duration=1h")
    told += laptop.tool("ps", "--store", laptop.address).stdout
    wait_until(laptop.checkpoints, laptop)
    (first,) = account.machines
    account.kill(first)
    killed_at = laptop.checkpoints()[-1]

    for size in account.sizes:
        size["price_hourly"] = DEAR
    told += laptop.up(*training, "--set", f"limits.max_cost={BUDGET}")
    wait_until(lambda: not account.machines, laptop)

    record, metrics = laptop.record(), read_metrics_of(laptop, tmp_path)
    assert len(record.attempts) == 2
    assert record.attempts[1].from_step == int(killed_at.removeprefix("step-"))
    reason = record.attempts[1].reason or ""  # on a busy machine the lease may be first, by the same budget
    assert "stopped by limits.max_cost" in reason or "ten-lease: deadline" in journals(laptop), reason
    assert 0 < record.attempts[1].cost < BUDGET
    assert laptop.checkpoints()[-1] == f"step-{metrics[-1].step:08d}"
    beyond = min(metrics[-1].step, record.attempts[1].from_step + 100)
    assert facts(metrics)[:beyond] == facts(undisturbed(laptop, beyond))
    assert "nothing is billed" in laptop.tool("ps", "--store", laptop.address).stdout
    gone = laptop.tool("down", code=MissingInput.exit_code)
    told += gone.stderr + journals(laptop)
    assert not [canary for canary in (*CANARIES, *digitalocean.CANARIES) if canary in told]
    assert list(laptop.told()) == []


def read_metrics_of(laptop: Laptop, tmp_path: Path) -> list[StepMetrics]:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(laptop.read("runs/r/metrics.jsonl"))
    return read_metrics(path)


def undisturbed(laptop: Laptop, steps: int) -> list[StepMetrics]:
    """The first steps of the same run in one life, as another run over the same pack."""
    alone = laptop.elsewhere("alone")
    process = alone.start(
        "train", *laptop.words(), "--set", "run=alone", "--pretokenized", "--batch-size", "4", "--steps", "100000"
    )
    deadline = time.monotonic() + 90
    while alone.steps() < steps and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.communicate()
    return alone.metrics()[:steps]
