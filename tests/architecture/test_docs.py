"""Documentation that cannot fall behind: every verb, setting, job file, dependency and figure of speech is checked."""

import re
import tomllib
from pathlib import Path

import pytest

from ten import settings
from ten.flags import VERBS, parse_arguments
from ten.job import JobSpec, load_job

ROOT = Path(__file__).parents[2]
JOBS = sorted((ROOT / "jobs").glob("*.yaml"))
FIELDS = settings.field_paths(JobSpec)


def _commands(text: str) -> list[str]:
    """Lines of a document's shell blocks, comments left out."""
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = (line.split("  #")[0].strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _name(requirement: str) -> str:
    """A package's name, without its extras and versions."""
    return re.split(r"[\[<>=]", requirement)[0]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_documented_and_has_help(verb: str, capsys: pytest.CaptureFixture[str], root: Path) -> None:
    assert f"`ten {verb}`" in (root / "README.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        parse_arguments([verb, "--help"])
    assert left.value.code == 0
    assert "examples:" in capsys.readouterr().out


@pytest.mark.parametrize("path", FIELDS)
def test_every_setting_is_documented(path: str, root: Path) -> None:
    description = settings.describe(FIELDS[path])
    assert description
    line = f"| `{path}` |"
    rows = [
        row for row in (root / "docs" / "job-file.md").read_text(encoding="utf-8").splitlines() if row.startswith(line)
    ]
    assert len(rows) == 1
    assert description.replace("|", "\\|") in rows[0]


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_every_job_file_loads(job: Path) -> None:
    assert load_job(job, {}, []).name == job.stem


def test_every_command_in_the_readme_exists(root: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = _commands((root / "README.md").read_text(encoding="utf-8"))
    assert len(commands) >= 5
    for command in commands:
        for part in command.split(" && "):
            program, *words = part.replace("'", "").split()
            if program == "make":
                assert words[0] in targets
            elif program.endswith("ten"):
                parse_arguments(words)


def test_every_dependency_has_its_reason(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    reasons = (root / "docs" / "decisions.md").read_text(encoding="utf-8")
    named = [*project["dependencies"], *(item for extra in project["optional-dependencies"].values() for item in extra)]
    missing = [item for item in named if f"`{_name(item)}`" not in reasons]
    assert not missing


def test_the_lock_pins_every_dependency(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = {_name(line).lower().replace("_", "-") for line in (root / "requirements.lock").read_text().splitlines()}
    wanted = {_name(item).lower() for item in [*project["dependencies"], *project["optional-dependencies"]["dev"]]}
    assert wanted <= lock


def test_every_benchmark_teaches_and_has_a_dated_report(root: Path) -> None:
    for script in (root / "benchmarks").glob("*.py"):
        text = script.read_text(encoding="utf-8")
        assert "argparse" in text, script
        assert "--quick" in text, script
        assert "return 1" in text or "sys.exit(1)" in text or "else 1" in text, f"{script} cannot miss a target"
        assert list((root / "benchmarks" / "reports").glob(f"{script.stem}-*-20??-??.md")), f"{script} has no report"
