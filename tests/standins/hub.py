"""The stand-in of the hub as tests and benchmarks hold it: a process that serves a folder of repositories."""

import base64
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.standins.hub_faults import Fault

ROOT = Path(__file__).parents[2]
_PATIENCE_S = 60.0
_FOREIGN = ("HF_", "HUGGING", "TRANSFORMERS_")


@dataclass(frozen=True)
class Request:
    """One request as the stand-in saw it."""

    method: str
    path: str
    """With its query."""
    port: str
    """`hub` or `cdn`."""
    range: str
    """The Range header; empty without one."""
    status: int
    """0 when no answer was given."""
    sent: int
    """Bytes of the body that went out."""
    had_authorization: bool
    fault: str
    """The fault's action; empty when nothing went wrong."""
    agent: str
    connection: int
    """The same number, the same connection."""
    started: float
    """On the clock of `time.monotonic`, which processes share."""
    ended: float | None
    """None while it goes on."""


class Hub:
    """Serves ROOT/{datasets,models}/<namespace>/<name>/ from construction until `close`.

    Repositories may be put into the folder until they are first asked for; later changes go through `commit`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.standins.hub_server", str(root)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin and self._process.stdout
        self._pipes = (self._process.stdin, self._process.stdout)
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError("the stand-in of the hub did not start")
        ports = json.loads(line)
        self.port: int = ports["hub"]
        self.cdn_port: int = ports["cdn"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the process; both ports are free when this returns."""
        self._process.kill()
        for pipe in self._pipes:
            pipe.close()
        self._process.wait()

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def cdn(self) -> str:
        """Origin of the file host."""
        return f"http://127.0.0.1:{self.cdn_port}"

    def environment(self, home: Path, token: str = "") -> dict[str, str]:
        """A client process's whole environment: ours, less all that concerns a real hub, with `home` as HF_HOME."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_FOREIGN) and not name.lower().endswith("_proxy")
        }
        quiet = ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")
        fixed = {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
        lone = {"TOKENIZERS_PARALLELISM": "false"} | ({"HF_TOKEN": token} if token else {})
        return kept | dict.fromkeys(quiet, "1") | fixed | lone

    def set(
        self,
        *,
        latency_ms: float | None = None,
        throttle: int | None = None,
        url_life_s: float | None = None,
        page: int | None = None,
    ) -> None:
        """Change what is named: the wait before every answer, bytes per second of a connection (0: no limit), how long
        a signed URL is good, and entries of a listing per page."""
        named = {"latency_ms": latency_ms, "throttle": throttle, "url_life_s": url_life_s, "page": page}
        self._control("settings", {name: value for name, value in named.items() if value is not None})

    def add(self, *faults: Fault) -> None:
        """Let things go wrong, behind the faults already in force."""
        self._control("faults", {"rules": [asdict(fault) for fault in faults]})

    def clear(self) -> None:
        """No faults, no latency, no limits, an empty log. Commits stay."""
        self._control("clear", {})

    def forget(self) -> None:
        """Empty the log."""
        self._control("forget", {})

    def log(self, port: str = "") -> list[Request]:
        """Requests since the last `clear` or `forget`, in the order of their arrival; of one port when it is named."""
        entries = [Request(**entry) for entry in self._control("log", {})]
        return [entry for entry in entries if port in ("", entry.port)]

    def commit(
        self, repo: str, files: Mapping[str, bytes | None], *, kind: str = "datasets", branch: str = "main"
    ) -> str:
        """Move a branch on by files new, changed or (None) removed; the new commit. Earlier ones stay readable."""
        coded = {name: None if data is None else base64.b64encode(data).decode() for name, data in files.items()}
        sha: str = self._control("commit", {"repo": repo, "files": coded, "kind": kind, "branch": branch})
        return sha

    def expire_urls(self) -> None:
        """End every signed URL issued so far: 403 until the hub is asked again."""
        self._control("expire", {})

    def _control(self, name: str, asked: dict[str, Any]) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_S)
        try:
            connection.request("POST", f"/_control/{name}", json.dumps(asked))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()
