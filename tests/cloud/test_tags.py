"""What a droplet says of itself."""

from hypothesis import given
from hypothesis import strategies as st

from ten.cloud.tags import expiry_of, expiry_tag, run_of, run_tag


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", fullmatch=True))
def test_a_run_is_known_by_its_tag_and_a_tag_has_no_dots(run: str) -> None:
    assert run_of(["ten", run_tag(run)]) == run
    assert "." not in run_tag(run)


def test_a_lease_that_was_prolonged_ends_when_the_later_tag_says() -> None:
    assert expiry_of([expiry_tag(100.4), expiry_tag(2000), "ten-expires-x", "ten"]) == 2000
    assert expiry_of(["ten"]) is None
