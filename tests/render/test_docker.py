"""A job as `docker run`: what the shell makes of it."""

import json
import subprocess
from pathlib import Path

from ten.job import JobSpec, load_job
from ten.render.docker import render_docker


def _words(script: str, tmp_path: Path) -> list[str]:
    """The words that docker gets."""
    fake = tmp_path / "bin/docker"
    fake.parent.mkdir()
    fake.write_text("#!/usr/bin/env python3\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    fake.chmod(0o755)
    path = f"{fake.parent}:/usr/bin:/bin"
    run = subprocess.run(["sh", "-c", script], env={"PATH": path}, capture_output=True, text=True, check=True)
    words: list[str] = json.loads(run.stdout)
    return words


def test_the_shell_passes_every_value_whole(tmp_path: Path) -> None:
    sets = ["name=a", f"store={json.dumps(str(tmp_path / 'my store'))}", "data.text_column=it's $HOME"]
    words = _words(render_docker(load_job(None, {}, sets)), tmp_path)
    assert words[-2:] == ["--set", "store=/data"] or "store=/data" in words
    assert "data.text_column=it's $HOME" in words
    assert f"{tmp_path}/my store:/data" in words
    assert words[words.index("--user") + 1].count(":") == 1


def test_gpus_memory_and_grace_are_the_job_s(elsewhere: JobSpec, tmp_path: Path) -> None:
    words = _words(render_docker(elsewhere), tmp_path)
    for option, value in (
        ("--gpus", "1"), ("--shm-size", "16000000000"), ("--stop-timeout", "300"), ("--env", "HF_TOKEN"),
    ):  # fmt: skip
        assert words[words.index(value) - 1] == option
    assert "registry.example/me/ten:1" in words
