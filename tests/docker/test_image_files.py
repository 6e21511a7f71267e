"""What the image is made of, read as text: locks, Dockerfile, the list of what goes in, Compose. No engine."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))
OURS = ("train", "pack", "try")


def pins(path: Path) -> dict[str, str]:
    """Versions by name."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    pairs = (line.split()[0].split("==") for line in lines)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pairs}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_line_of_a_lock_is_one_wheel_with_its_hash(lock: Path) -> None:
    lines = lock.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# Made by docker/lock.py")
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.+]+ --hash=sha256:[0-9a-f]{64}", line) for line in lines[1:])


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_locks_have_the_versions_that_are_tested(lock: Path) -> None:
    tested = pins(ROOT / "requirements.lock")
    other = {
        name: version
        for name, version in pins(lock).items()
        if name in tested and version.removesuffix("+cpu") != tested[name]
    }
    assert not other, "run `python docker/lock.py`"


@pytest.mark.parametrize("variant", ["cpu", "cuda"])
def test_both_variants_have_every_dependency_once(variant: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {re.split(r"[\[<>=]", item)[0] for item in project["dependencies"]}
    common, own = pins(ROOT / "requirements" / "common.lock"), pins(ROOT / "requirements" / f"{variant}.lock")
    assert not common.keys() & own.keys()
    assert wanted <= common.keys() | own.keys(), "run `python docker/lock.py`"


def test_nothing_of_the_tests_is_in_the_image() -> None:
    locked = {name for lock in LOCKS for name in pins(lock)}
    assert not locked & {"pytest", "moto", "mypy", "ruff", "ray", "transformers", "flask"}


def test_the_label_names_the_cuda_of_the_lock() -> None:
    toolkit = pins(ROOT / "requirements" / "cuda.lock")["cuda-toolkit"]
    assert re.findall(r"ten\.cuda=(\S+)", DOCKERFILE) == [".".join(toolkit.split(".")[:2])]
    assert re.findall(r"ten\.min_driver=(\d+)", DOCKERFILE) == ["580"]  # the first that runs CUDA 13


def test_the_base_is_one_image_for_ever() -> None:
    assert re.search(r"^ARG BASE_IMAGE=python:3\.11\S*-slim-bookworm@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE)


def test_only_what_is_named_goes_into_the_image() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    named = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    assert rules[0] == "*"
    assert all((ROOT / name).exists() for name in named)
    assert not [name for name in named if ".env" in name or ".git" in name or name in (".", "docker", "tests")]


def test_no_secret_is_an_argument_of_the_build() -> None:
    named = set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))
    assert named <= {
        "BASE_IMAGE", "VARIANT", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "TOKENIZERS", "HF_ENDPOINT", "VERSION",
        "REVISION",
    }  # fmt: skip


def test_an_address_with_a_password_does_not_get_into_the_image_s_history() -> None:
    def build(endpoint: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": os.environ["PATH"], "IMAGE_BUILD": "echo", "HF_ENDPOINT": endpoint}
        return subprocess.run(
            [ROOT / "docker" / "build.sh"], env=environment, capture_output=True, text=True, check=False
        )

    assert "--build-arg HF_ENDPOINT=https://hub.example" in build("https://hub.example").stdout
    refused = build("https://me:canary@hub.example")
    assert refused.returncode == 78
    assert "HF_ENDPOINT" in refused.stderr
    assert "canary" not in refused.stdout + refused.stderr


def test_the_dockerfile_keeps_to_what_its_builders_share() -> None:
    assert not re.search(
        r"<<|--link|# syntax|--start-interval|RUN --network|--parents", DOCKERFILE.split("ARG BASE")[1]
    )


@pytest.mark.parametrize("name", OURS)
def test_every_service_is_fenced_and_given_time_to_stop(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["stop_grace_period"] == "330s"
    assert service["shm_size"] == "2gb"
    assert service["restart"] == "no"
    assert "env_file" not in service  # Compose's parser changes values
    assert service["environment"]["TEN_ENV_FILE"] == "/run/secrets/env"


def test_the_store_to_try_is_the_one_that_is_tested() -> None:
    assert COMPOSE["services"]["store"]["image"].endswith(f":{pins(ROOT / 'requirements.lock')['moto']}")
    assert COMPOSE["services"]["store"]["profiles"] == ["store"]
