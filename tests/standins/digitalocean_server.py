"""The routes of the stand-in of DigitalOcean's API."""

import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.standins.digitalocean import LEASE_TOKEN, TOKEN, ApiRequest, DigitalOcean, Refused

_DROPLET = re.compile(r"/v2/droplets/(\d+)")
_TAG = re.compile(r"/v2/tags/([^/]+)/resources")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout: ClassVar[float] = 30
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""

    @property
    def _account(self) -> DigitalOcean:
        return self.server.account  # type: ignore[attr-defined, no-any-return]

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        line = f"{self.command} {self.path}"
        entry = ApiRequest(method=self.command, path=self.path, status=0, body=body)
        self._account.log.append(entry)
        fault = self._account.faults.pick("", line, 0)
        if fault is not None and fault.action == "lost":
            self.close_connection = True
            return
        headers: dict[str, str] = {}
        if fault is not None and fault.action == "status":
            status, said = fault.status, {"id": "error", "message": fault.message}
            headers = fault.headers
        else:
            status, said = self._answer(line, body)
        entry.status = status
        if fault is not None and fault.action == "unanswered":
            self.close_connection = True
            return
        data = b"" if status == 204 else json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _answer(self, line: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        try:
            self._admit(line)
            return self._route(body)
        except Refused as refused:
            return refused.status, {"id": refused.word, "message": refused.message}

    def _admit(self, line: str) -> None:
        """The lease's token may look at droplets and destroy them."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in (TOKEN, LEASE_TOKEN):
            raise Refused(401, "unauthorized", "Unable to authenticate you")
        lease = token == LEASE_TOKEN and not re.match(r"(GET|DELETE) /v2/droplets", line)
        if lease or line.startswith(self._account.forbidden or "-"):
            raise Refused(403, "forbidden", "You are not authorized to perform this operation")

    def _route(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        account, parts = self._account, urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        route = f"{self.command} {parts.path}"
        if route == "GET /v2/sizes":
            return 200, self._page("sizes", account.sizes, asked)
        if route == "GET /v2/account/keys":
            return 200, self._page("ssh_keys", account.keys, asked)
        if route == "GET /v2/droplets":
            if "type" in asked and "tag_name" in asked:
                raise Refused(400, "bad_request", "type cannot be combined with tag_name")
            return 200, self._page("droplets", account.listed(asked.get("type", "droplets")), asked)
        if route == "POST /v2/droplets":
            return 202, {"droplet": account.tell(account.create(body))}
        if route == "POST /v2/tags":
            return 201, {"tag": {"name": body["name"]}}
        if self.command == "POST" and (match := _TAG.fullmatch(parts.path)):
            account.tag(match[1], body["resources"])
            return 204, {}
        if match := _DROPLET.fullmatch(parts.path):
            if self.command == "DELETE":
                account.destroy(int(match[1]))
                return 204, {}
            return 200, {"droplet": account.look(int(match[1]))}
        raise Refused(404, "not_found", f"no route {route}")

    def _page(self, name: str, found: list[dict[str, Any]], asked: dict[str, str]) -> dict[str, Any]:
        size, number = self._account.page_size or int(asked.get("per_page", 20)), int(asked.get("page", 1))
        pages = {"next": f"{self._account.url}/?page={number + 1}"} if len(found) > size * number else {}
        return {
            name: found[size * (number - 1) : size * number],
            "links": {"pages": pages},
            "meta": {"total": len(found)},
        }
