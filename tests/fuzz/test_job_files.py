"""Job files: whatever stands in one, a JobSpec or an error that names the file; never a hang."""

from pathlib import Path

import pytest
import yaml
from hypothesis import strategies as st

from ten.job import JobSpec, load_job
from tests.fuzz.conftest import Explore
from tests.fuzz.mutations import VALUES, changed, mutated
from tests.fuzz.refusal import answer_or_refusal

JOBS = sorted((Path(__file__).parents[2] / "jobs").glob("*.yaml"))
_LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
_ODD = (
    "a: 2001-99-99", "a: !!int x", "a: !!float x", "a: !!timestamp x", "a: !!bool x", "a: !!binary x", "? [a]\n: b",
    "? {a: b}\n: c", "a: &a [*a]", "&a [*a]", "<<: 3", "<<: [1]", "a: !!python/object:os.system x", "%", "a: \t- b",
    "name: " + "9" * 5000, "a: 0x", "a: 1:99:99", "a: " + "[" * 2000, "- " * 2000, "{" * 2000, _LAUGHS, "---\n---",
    "a: ${", "a: ${NO_SUCH_NAME}", "name: ${NO_SUCH_NAME:-9999-99-99}", "a: !!set {b, c}", "a: !!omap [b: c]",
    "=: =", "1: 2", "null: 1", "\ufeffname: x", 'name: "\\ud800"', "train: {steps: 1e400}", "train: {steps: .nan}",
    "train: {learning_rate: .inf}", "secrets: {a: b}", "model: &m {layers: 1}\ndata: *m", "*x", "train: 1_0_",
)  # fmt: skip


@pytest.fixture
def job(tmp_path: Path) -> Path:
    return tmp_path / "job.yaml"


def _loads_or_refuses(job: Path, data: bytes) -> None:
    job.write_bytes(data)
    spec = answer_or_refusal(lambda: load_job(job, {}, []), job)
    assert spec is None or isinstance(spec, JobSpec)


def test_a_damaged_job_file_is_read_or_named(explore: Explore, job: Path) -> None:
    examples = st.sampled_from(JOBS).flatmap(lambda path: mutated(path.read_bytes())) | st.binary(max_size=60)
    explore(examples, lambda data: _loads_or_refuses(job, data))


def test_odd_yaml_is_read_or_named(explore: Explore, job: Path) -> None:
    explore(st.text(max_size=60), lambda text: _loads_or_refuses(job, text.encode("utf-8", "surrogatepass")))


@pytest.mark.parametrize("number", range(len(_ODD)))
def test_what_yaml_stumbles_over_is_read_or_named(job: Path, number: int) -> None:
    _loads_or_refuses(job, _ODD[number].encode())


def test_any_value_anywhere_is_read_or_named(explore: Explore, job: Path) -> None:
    trees = st.sampled_from(JOBS).flatmap(lambda path: changed(yaml.safe_load(path.read_text(encoding="utf-8"))))
    explore(trees | VALUES, lambda tree: _loads_or_refuses(job, yaml.safe_dump(tree).encode()))
