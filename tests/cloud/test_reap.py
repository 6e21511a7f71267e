"""The second line: what has outlived its lease goes, and nothing else."""

import time

from ten.cloud.api import Api
from ten.cloud.reap import reap
from ten.cloud.tags import expiry_tag, run_tag
from tests.standins.digitalocean import DigitalOcean

QUICK = 0.5
"""Seconds that a droplet has to go."""


def test_only_what_is_ours_and_over_is_destroyed(account: DigitalOcean, api: Api) -> None:
    now = time.time()
    over = account.add(name="over", tags=["ten", expiry_tag(now - 5)])
    prolonged = account.add(name="prolonged", tags=["ten", expiry_tag(now - 5), expiry_tag(now + 500)])
    other = account.add(name="other", tags=["web", expiry_tag(now - 5)])
    fresh = account.add(name="fresh", tags=["ten"])
    gone, left = reap(api, within_s=QUICK)
    assert [droplet.id for droplet in gone] == [over.id] and not left
    assert sorted(account.machines) == [prolonged.id, other.id, fresh.id]


def test_an_orphan_of_an_up_that_was_killed_goes_when_its_start_has_taken_too_long(
    account: DigitalOcean, api: Api
) -> None:
    orphan = account.add(tags=["ten", expiry_tag(time.time() + 1200)])
    assert reap(api, within_s=QUICK) == ([], [])
    orphan.tags[:] = ["ten", expiry_tag(time.time() - 1)]
    assert len(reap(api, within_s=QUICK)[0]) == 1


def test_a_run_s_droplet_without_a_lease_is_left_alone_for_a_day(account: DigitalOcean, api: Api) -> None:
    undated = account.add(tags=["ten", run_tag("r")])
    assert reap(api, within_s=QUICK) == ([], [])
    undated.created -= 25 * 3600
    assert len(reap(api, within_s=QUICK)[0]) == 1


def test_one_that_somebody_gave_our_tag_for_the_firewall_is_theirs(account: DigitalOcean, api: Api) -> None:
    account.add(tags=["ten", "web"]).created -= 365 * 86400
    assert reap(api, within_s=QUICK) == ([], [])


def test_one_that_stays_does_not_keep_the_others(account: DigitalOcean, api: Api) -> None:
    stays = account.add(name="stays", tags=["ten", expiry_tag(1)])
    stays.deaf = -1
    account.add(name="goes", tags=["ten", expiry_tag(1)])
    gone, left = reap(api, within_s=QUICK)
    assert ([one.name for one in gone], [one.name for one in left]) == (["goes"], ["stays"])


def test_a_dry_run_touches_nothing(account: DigitalOcean, api: Api) -> None:
    account.add(tags=["ten", expiry_tag(1)])
    assert len(reap(api, dry_run=True)[1]) == 1
    assert not account.asked("DELETE")
