"""The stand-in of DigitalOcean's API: droplets that are lists of facts, or processes in a folder of this machine."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Self

from tests.standins import digitalocean_catalog as catalog
from tests.standins.digitalocean_computer import Computer, install_commands
from tests.standins.digitalocean_faults import ApiFault
from tests.standins.hub_faults import FaultRules

TOKEN = "dop_v1_canary_token_5d1f"
LEASE_TOKEN = "dop_v1_canary_lease_77aa"
CANARIES = (TOKEN, LEASE_TOKEN)
"""What a test looks for in all that a process leaves behind."""


@dataclass
class Machine:
    """A droplet as the stand-in knows it."""

    id: int
    body: dict[str, Any]
    """What it was asked for with."""
    created: float
    polls_left: int
    """Times that it is still `new` when it is looked at."""
    address: str
    tags: list[str]
    computer: Computer | None = None
    deaf: int = 0
    """Requests to destroy it that are accepted and forgotten; -1 for all."""


@dataclass
class ApiRequest:
    """One request as it came."""

    method: str
    path: str
    """With its query."""
    status: int
    body: Mapping[str, Any] = field(default_factory=dict)


class Refused(Exception):
    """An answer other than what was asked for."""

    def __init__(self, status: int, word: str, message: str) -> None:
        super().__init__(message)
        self.status, self.word, self.message = status, word, message


class DigitalOcean:
    """The account and its server, from construction until `close`.

    Given a folder, a droplet has a computer in it (`digitalocean_computer`) that `ssh` of `<folder>/bin` reaches.
    """

    def __init__(self, folder: Path | None = None) -> None:
        from tests.standins.digitalocean_server import Handler

        self.folder = folder
        if folder is not None:
            install_commands(folder / "bin", folder, ("ssh",))
        self.sizes, self.keys = catalog.sizes(), catalog.keys()
        self.machines: dict[int, Machine] = {}
        self.faults: FaultRules[ApiFault] = FaultRules()
        self.log: list[ApiRequest] = []
        self.new_polls = 1
        self.forbidden: tuple[str, ...] = ()
        """Beginnings of "METHOD /path" for which the token has no scope."""
        self.page_size: int | None = None
        self.listed_after = 0
        """Requests for a droplet that must have come before any is in a list."""
        self.lock = threading.RLock()
        self._number = 410_000_000

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            account = self

            def server_bind(self) -> None:
                TCPServer.server_bind(self)
                self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

        self._server = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the server and every computer."""
        for number in list(self.machines):
            self.kill(number)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def environment(self) -> dict[str, str]:
        """The variables that a client process needs."""
        return {"DIGITALOCEAN_API_URL": self.url, "DIGITALOCEAN_TOKEN": TOKEN, "DIGITALOCEAN_LEASE_TOKEN": LEASE_TOKEN}

    def asked(self, method: str, path: str = "") -> list[ApiRequest]:
        """Requests so far of a method, below a path."""
        return [one for one in self.log if one.method == method and one.path.startswith(path)]

    def add(self, **wanted: Any) -> Machine:
        """A droplet made behind everybody's back."""
        body = {"name": "ten-r-1", "size": "gpu-l40sx1-48gb", "region": "tor1", "image": "x", "tags": ["ten"], **wanted}
        return self.create(body, polls=0)

    def kill(self, number: int) -> None:
        """A droplet is gone at once, as if it had never been."""
        with self.lock:
            machine = self.machines.pop(number, None)
        if machine is not None and machine.computer is not None:
            machine.computer.off()

    # What the server does for the routes.

    def create(self, body: dict[str, Any], polls: int | None = None) -> Machine:
        """Make a droplet. Raises Refused as the API does."""
        with self.lock:
            size = next((one for one in self.sizes if one["slug"] == body["size"]), None)
            if size is None or body["region"] not in size["regions"]:
                raise Refused(422, "unprocessable_entity", "Size is not available in this region.")
            if polls is None and not body.get("ssh_keys"):
                raise Refused(422, "unprocessable_entity", "SSH keys are required for this image.")
            self._number += 1
            address = f"203.0.113.{self._number % 250 + 1}"
            machine = Machine(
                id=self._number, body=body, created=time.time(), polls_left=self.new_polls if polls is None else polls,
                address=address, tags=list(body.get("tags") or ()),
            )  # fmt: skip
            self.machines[machine.id] = machine
            return machine

    def look(self, number: int) -> dict[str, Any]:
        """A droplet as the API tells of it; it comes to life when it has been looked at often enough."""
        with self.lock:
            machine = self.machines.get(number)
            if machine is None:
                raise Refused(404, "not_found", "The resource you were accessing could not be found.")
            if machine.polls_left > 0:
                machine.polls_left -= 1
            if machine.polls_left == 0 and machine.computer is None and self.folder is not None:
                machine.computer = Computer(self.folder, machine.address, machine.body.get("user_data", ""))
            return self.tell(machine)

    def tell(self, machine: Machine) -> dict[str, Any]:
        """A droplet's facts."""
        size = next(one for one in self.sizes if one["slug"] == machine.body["size"])
        active = machine.polls_left <= 0
        nets = [{"ip_address": "10.0.0.2", "type": "private"}, {"ip_address": machine.address, "type": "public"}]
        return {
            "id": machine.id, "name": machine.body["name"], "status": "active" if active else "new", "size": size,
            "size_slug": size["slug"], "region": {"slug": machine.body["region"]}, "tags": machine.tags,
            "networks": {"v4": nets if active else [], "v6": []},
            "created_at": datetime.fromtimestamp(machine.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }  # fmt: skip

    def listed(self, kind: str) -> list[dict[str, Any]]:
        """Droplets of a kind: those with a GPU are hidden unless they are what is asked for."""
        with self.lock:
            if len(self.asked("POST", "/v2/droplets")) < self.listed_after:
                return []
            found = [one for one in self.machines.values() if one.body["size"].startswith("gpu-") == (kind == "gpus")]
            return [self.tell(one) for one in found]

    def destroy(self, number: int) -> None:
        """Destroy a droplet, or say so."""
        with self.lock:
            machine = self.machines.get(number)
            if machine is None:
                raise Refused(404, "not_found", "The resource you were accessing could not be found.")
            if machine.deaf:
                machine.deaf -= machine.deaf > 0
                return
        self.kill(number)

    def tag(self, name: str, resources: list[dict[str, str]]) -> None:
        """Put a tag on droplets."""
        with self.lock:
            for resource in resources:
                self.machines[int(resource["resource_id"])].tags.append(name)
