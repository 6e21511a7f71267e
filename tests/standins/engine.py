"""A container engine as far as docker/run.sh needs one: its containers are processes that see what a container would.

Called as `docker` or `podman` would be. TEN_ENGINE_STATE names its folder: `images` lists what it has, `calls.jsonl`
keeps every command line, `NAME/` a container: its environment as `ten` reads it, its log, process and exit code.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

STATE = Path(os.environ["TEN_ENGINE_STATE"])
_WITH_VALUE = {
    "--name", "--label", "--stop-timeout", "--tmpfs", "--cap-drop", "--security-opt", "--shm-size", "--ulimit",
    "--gpus", "--device", "--user", "--userns", "--env", "--workdir", "--volume", "--network", "--entrypoint",
}  # fmt: skip
_READ = """
import json, os
from ten.environment import load_environment
load_environment()
print(json.dumps(dict(os.environ)))
"""


def _run(words: list[str]) -> int:
    options: list[tuple[str, str]] = []
    while words[0].startswith("-"):
        option = words.pop(0)
        options.append((option, words.pop(0) if option in _WITH_VALUE else ""))
    command = words[1:]
    inside = _environment(options)
    if "--rm" in dict(options):
        mounts = dict(value.split(":")[1::-1] for option, value in options if option == "--volume")
        inside["TEN_ENV_FILE"] = mounts[inside["TEN_ENV_FILE"]]
        return subprocess.run([sys.executable, *command], env=inside, check=False).returncode
    folder = STATE / next(value for option, value in options if option == "--name")
    if folder.exists():
        return 125
    folder.mkdir()
    work = next(value for option, value in options if option == "--workdir")
    read = subprocess.run([sys.executable, "-c", _READ], env=inside, cwd=work, capture_output=True, text=True)
    (folder / "environment.json").write_text(read.stdout, encoding="utf-8")
    watch = [sys.executable, __file__, "supervise", str(folder), work, sys.executable, "-m", "ten.cli", *command]
    keep = {"TEN_ENGINE_STATE": str(STATE)}
    quiet = subprocess.DEVNULL
    subprocess.Popen(watch, env=inside | keep, start_new_session=True, stdin=quiet, stdout=quiet, stderr=quiet)
    _until((folder / "pid").exists)
    _say("0" * 64)
    return 0


def _environment(options: list[tuple[str, str]]) -> dict[str, str]:
    """What a process in the container finds set; the image sets TEN_STORE."""
    inside = {"PATH": os.environ["PATH"], "TEN_STORE": "/data", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    for name, equals, value in (value.partition("=") for option, value in options if option == "--env"):
        if equals or name in os.environ:
            inside[name] = value if equals else os.environ[name]
    return inside


def _supervise(folder: Path, work: str, command: list[str]) -> int:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=work, stdout=log, stderr=log)
        (folder / "pid.part").write_text(str(process.pid))
        (folder / "pid.part").rename(folder / "pid")
        code = process.wait()
    (folder / "code.part").write_text(str(code))
    (folder / "code.part").rename(folder / "code")
    return 0


def _logs(folder: Path) -> int:
    shown = 0
    while True:
        ended = (folder / "code").exists()
        data = (folder / "log").read_bytes()
        sys.stdout.buffer.write(data[shown:])
        sys.stdout.buffer.flush()
        shown = len(data)
        if ended:
            return 0
        time.sleep(0.05)


def _stop(folder: Path) -> int:
    os.kill(int((folder / "pid").read_text()), signal.SIGTERM)
    _until((folder / "code").exists)
    return 0


def _names(every: bool) -> list[str]:
    return [path.name for path in sorted(STATE.iterdir()) if path.is_dir() and (every or not (path / "code").exists())]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _until(done: Callable[[], object]) -> None:
    while not done():
        time.sleep(0.02)


def main(words: list[str]) -> int:
    """One command line; its exit code."""
    if words[0] == "supervise":
        return _supervise(Path(words[1]), words[2], words[3:])
    with (STATE / "calls.jsonl").open("a", encoding="utf-8") as calls:
        calls.write(json.dumps(words) + "\n")
    verb, last = words[0], STATE / words[-1]
    if verb == "info":
        return 0
    if verb == "image":
        return 0 if words[-1] in (STATE / "images").read_text().split() else 1
    if verb == "inspect":
        if not last.exists():
            return 1
        _say("false" if (last / "code").exists() else "true")
        return 0
    if verb == "ps":
        _say("\n".join(_names("--all" in words)))
        return 0
    if verb == "wait":
        _until((last / "code").exists)
        _say((last / "code").read_text())
        return 0
    if verb == "rm":
        last.rename(STATE / ".." / f"gone-{last.name}-{time.monotonic_ns()}")
        return 0
    return {"run": lambda: _run(words[1:]), "logs": lambda: _logs(last), "stop": lambda: _stop(last)}[verb]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
