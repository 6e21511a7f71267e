"""`ssh` for tests: `python -m tests.standins.digitalocean_ssh FOLDER ssh …` runs the command on a droplet of FOLDER.

Every call is a line of FOLDER/ssh.log: its arguments, never its input.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.standins.digitalocean_computer import mapped

_LOST = 255


def main(argv: list[str]) -> int:
    """One call; its exit code is the command's, or ssh's own 255."""
    folder, words = Path(argv[0]), argv[2:]
    with (folder / "ssh.log").open("a") as log:
        log.write(json.dumps(words) + "\n")
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] == "-o" else words[1:]
    address, command = words[0].partition("@")[2], " ".join(words[1:])
    machine = folder / address
    if not (machine / "on").exists():
        sys.stderr.write(f"ssh: connect to host {address} port 22: Connection refused\n")
        return _LOST
    environment = {"PATH": f"{machine}/bin:{os.environ['PATH']}", "HOME": str(machine / "root")}
    done = subprocess.run(["bash", "-c", mapped(command, machine / "root")], env=environment, check=False)
    return done.returncode if (machine / "on").exists() else _LOST


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
