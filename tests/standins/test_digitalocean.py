"""The stand-in of DigitalOcean's API has the traps of the real one."""

import json
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.standins.digitalocean import LEASE_TOKEN, TOKEN, DigitalOcean
from tests.standins.digitalocean_faults import ApiFault

WANTED = {"name": "n", "size": "gpu-l40sx1-48gb", "region": "tor1", "image": "x", "ssh_keys": [1], "tags": ["ten"]}


def ask(account: DigitalOcean, method: str, path: str, body: Any = None, token: str = TOKEN) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    with urllib3.PoolManager(retries=False) as pool:
        answer = pool.request(
            method, account.url + path, headers=headers, body=None if body is None else json.dumps(body)
        )
        return answer.status, json.loads(answer.data) if answer.data else None


def test_the_plain_list_hides_gpus_and_theirs_takes_no_tag() -> None:
    with DigitalOcean() as account:
        account.add()
        assert ask(account, "GET", "/v2/droplets")[1]["droplets"] == []
        assert len(ask(account, "GET", "/v2/droplets?type=gpus")[1]["droplets"]) == 1
        assert ask(account, "GET", "/v2/droplets?type=gpus&tag_name=ten")[0] == 400


def test_a_droplet_is_slow_to_come_and_may_not_hear_that_it_should_go() -> None:
    with DigitalOcean() as account:
        account.new_polls = 2
        status, said = ask(account, "POST", "/v2/droplets", WANTED)
        path = f"/v2/droplets/{said['droplet']['id']}"
        assert (status, said["droplet"]["status"]) == (202, "new")
        assert [ask(account, "GET", path)[1]["droplet"]["status"] for _ in range(2)] == ["new", "active"]
        account.machines[said["droplet"]["id"]].deaf = 1
        assert [ask(account, "DELETE", path)[0], ask(account, "GET", path)[0]] == [204, 200]
        assert [ask(account, "DELETE", path)[0], ask(account, "GET", path)[0]] == [204, 404]


def test_no_stock_no_key_and_no_scope_are_refused() -> None:
    with DigitalOcean() as account:
        assert ask(account, "POST", "/v2/droplets", {**WANTED, "region": "ams3"})[0] == 422
        assert ask(account, "POST", "/v2/droplets", {**WANTED, "ssh_keys": []})[0] == 422
        assert ask(account, "POST", "/v2/droplets", WANTED, token=LEASE_TOKEN)[0] == 403
        assert ask(account, "GET", "/v2/sizes", token="other")[0] == 401
        account.forbidden = ("GET /v2/sizes",)
        assert ask(account, "GET", "/v2/sizes")[0] == 403
        assert not account.machines


def test_a_request_may_be_done_and_not_answered() -> None:
    with DigitalOcean() as account:
        account.faults.add([ApiFault("unanswered", match="POST")])
        with pytest.raises(urllib3.exceptions.ProtocolError):
            ask(account, "POST", "/v2/droplets", WANTED)
        assert len(account.machines) == 1


def test_a_computers_processes_end_with_its_droplet(tmp_path: Path) -> None:
    with DigitalOcean(tmp_path) as account:
        machine = account.add(user_data="")
        account.look(machine.id)
        computer = machine.computer
        assert computer is not None and (computer.folder / "on").exists()
        account.kill(machine.id)
        assert not (computer.folder / "on").exists() and not list(computer.pids.iterdir())
