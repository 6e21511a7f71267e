"""Writes the image's hashed locks from requirements.lock: `python docker/lock.py`, with CPython 3.11 on Linux x86-64.

requirements/cpu.lock and cuda.lock hold torch and what torch alone brings, common.lock what else `ten` imports, so that
the image has a layer for each and a new boto3 moves no CUDA. Versions are those of requirements.lock. pip must find
torch's CPU wheel as well as its CUDA one: name the index or folder that has it by PIP_EXTRA_INDEX_URL or
PIP_FIND_LINKS.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "requirements"
Wheels = dict[str, str]
"""Name → `name==version --hash=…`."""


def main() -> int:
    """Resolve each variant and write the three locks."""
    if (sys.version_info[:2], sys.platform, os.uname().machine) != ((3, 11), "linux", "x86_64"):
        print("lock.py: the image has CPython 3.11 on Linux x86-64; run this with the same", file=sys.stderr)
        return 64
    pins = (ROOT / "requirements.lock").read_text(encoding="utf-8").split()
    version = next(pin.removeprefix("torch==") for pin in pins if pin.startswith("torch=="))
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    torch = {"cpu": f"torch==={version}+cpu", "cuda": f"torch==={version}"}
    rest = [requirement for requirement in wanted if not requirement.startswith("torch")]
    brought = {variant: resolve([exact], pins) for variant, exact in torch.items()}
    common = resolve([*rest, torch["cpu"]], pins)
    write("common", "what `ten` imports besides torch", (common[name] for name in common.keys() - brought["cpu"]))
    for variant, wheels in brought.items():
        write(variant, f"torch for {variant.upper()}, and what it brings", wheels.values())
    return 0


def resolve(requirements: list[str], pins: list[str]) -> Wheels:
    """What pip would install for some requirements, each with the hash of its wheel."""
    with tempfile.TemporaryDirectory() as folder:
        constraints, report = Path(folder, "constraints"), Path(folder, "report")
        constraints.write_text("\n".join(pin for pin in pins if not pin.startswith("torch==")), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--only-binary=:all:"]
        options = ["--quiet", "--constraint", str(constraints), "--report", str(report)]
        subprocess.run([*command, *options, *requirements], check=True)
        return dict(sorted(map(line, json.loads(report.read_text(encoding="utf-8"))["install"])))


def line(item: dict[str, Any]) -> tuple[str, str]:
    """One entry of pip's report as a name and its line."""
    metadata = item["metadata"]
    name = re.sub(r"[-_.]+", "-", metadata["name"]).lower()
    digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
    return name, f"{name}=={metadata['version']} --hash=sha256:{digest}"


def write(name: str, what: str, lines: Iterable[str]) -> None:
    """Write one lock."""
    head = f"# Made by docker/lock.py for CPython 3.11 on Linux x86-64: {what}."
    (LOCKS / f"{name}.lock").write_text("\n".join([head, *sorted(lines), ""]), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
