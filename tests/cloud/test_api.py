"""The real client before the stand-in: what is retried, what is refused, and what is never asked twice."""

import sys

import pytest

from ten.calls.patience import Patience
from ten.cloud.access import Access, read_access
from ten.cloud.api import Api
from ten.cloud.refusals import NoStock
from ten.errors import CredentialsError, ServiceUnavailable, SpecError
from tests.standins.digitalocean import CANARIES, DigitalOcean
from tests.standins.digitalocean_faults import ApiFault

WANTED = {
    "name": "ten-r-0001", "size": "gpu-l40sx1-48gb", "region": "tor1", "image": "x", "ssh_keys": [1], "tags": ["ten"],
}  # fmt: skip


def test_sizes_come_with_price_stock_and_gpu_over_all_pages(account: DigitalOcean, api: Api) -> None:
    account.page_size = 2
    sizes = {size.slug: size for size in api.sizes()}
    assert len(sizes) == 5
    l40s = sizes["gpu-l40sx1-48gb"]
    assert (l40s.price_per_hour, l40s.regions, l40s.gpu, l40s.gpus, l40s.vram_gib) == (
        1.57,
        ("tor1",),
        "nvidia_l40s",
        1,
        48,
    )
    assert not sizes["gpu-4000adax1-20gb"].available


def test_droplets_with_a_gpu_are_found_though_the_plain_list_hides_them(account: DigitalOcean, api: Api) -> None:
    gpu, cpu = account.add(name="one"), account.add(name="two", size="s-2vcpu-4gb")
    account.add(name="not-ours", tags=["web"])
    assert gpu.id not in [said["id"] for said in account.listed("droplets")]
    assert [droplet.id for droplet in api.droplets()] == [gpu.id, cpu.id]


def test_too_many_requests_are_waited_for_as_long_as_the_api_asks(account: DigitalOcean, api: Api) -> None:
    account.faults.add([ApiFault(match="/v2/sizes", status=429, headers={"Retry-After": "1"})])
    assert api.sizes()
    assert len(account.asked("GET", "/v2/sizes")) == 2


def test_a_wait_that_is_too_long_is_not_begun(account: DigitalOcean, api: Api) -> None:
    account.faults.add([ApiFault(match="/v2/sizes", status=429, headers={"retry-after": "600"}, count=-1)])
    with pytest.raises(ServiceUnavailable, match=r"the sizes.*10m"):
        api.sizes()
    assert len(account.log) == 1


def test_a_wrong_token_is_named_and_not_shown(account: DigitalOcean, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", "dop_v1_wrong")
    with Api(read_access(), Patience.of(3.0)) as api, pytest.raises(CredentialsError) as refused:
        api.sizes()
    assert "DIGITALOCEAN_TOKEN is not accepted" in str(refused.value)
    assert "dop_v1_wrong" not in str(refused.value)


def test_a_missing_scope_is_a_matter_of_credentials(account: DigitalOcean, api: Api) -> None:
    account.forbidden = ("POST /v2/droplets",)
    with pytest.raises(CredentialsError, match="droplet:create"):
        api.create(WANTED)
    assert len(account.asked("POST")) == 1


def test_no_stock_is_told_from_other_refusals(account: DigitalOcean, api: Api) -> None:
    with pytest.raises(NoStock):
        api.create({**WANTED, "region": "ams3"})
    account.faults.add([ApiFault(match="POST /v2/droplets", status=422, message="You have reached your GPU limit.")])
    with pytest.raises(SpecError, match="raise the account's limit"):
        api.create(WANTED)


@pytest.mark.parametrize("action", ["unanswered", "status"])
def test_a_create_whose_answer_is_lost_makes_one_droplet(account: DigitalOcean, api: Api, action: str) -> None:
    account.faults.add([ApiFault(action=action, match="POST /v2/droplets", status=504)])  # type: ignore[arg-type]
    made = api.create(WANTED)
    assert [machine.id for machine in account.machines.values()] == [made.id]
    assert len(account.asked("POST")) == (1 if action == "unanswered" else 2)


def test_a_droplet_that_turns_up_late_does_not_have_a_twin(account: DigitalOcean, api: Api) -> None:
    account.listed_after = 2
    account.faults.add([ApiFault("unanswered", match="POST /v2/droplets")])
    made = api.create(WANTED)
    assert len(account.asked("POST")) == 2
    assert list(account.machines) == [made.id]


def test_the_first_request_may_have_taken_the_last_machine(account: DigitalOcean, api: Api) -> None:
    account.listed_after = 2
    account.faults.add([ApiFault("unanswered", match="POST /v2/droplets")])
    account.faults.add([ApiFault(match="POST /v2/droplets", status=422, message="Size is not available")])
    made = api.create(WANTED)
    assert list(account.machines) == [made.id]


def test_an_answer_that_says_nothing_is_no_proof_that_a_droplet_is_gone(account: DigitalOcean, api: Api) -> None:
    machine = account.add()
    account.faults.add([ApiFault(match="GET /v2/droplets/", status=404, message="no such page")])
    with pytest.raises(ServiceUnavailable, match="says neither"):
        api.droplet(machine.id)


def test_what_is_gone_is_none_and_destroying_it_again_is_nothing(account: DigitalOcean, api: Api) -> None:
    machine = account.add()
    api.destroy(machine.id)
    api.destroy(machine.id)
    assert api.droplet(machine.id) is None


def test_where_the_client_is_not_installed_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydo", None)
    with pytest.raises(SpecError, match=r"pip install 'ten\[cloud\]'"):
        Api(Access(url="https://api.example", token="x", token_from="here"))


def test_no_error_holds_a_token(account: DigitalOcean, api: Api) -> None:
    account.faults.add([ApiFault(count=-1, status=500)])
    with pytest.raises(ServiceUnavailable) as failed:
        api.droplets()
    assert not [canary for canary in CANARIES if canary in str(failed.value)]
