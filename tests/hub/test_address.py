"""Claims about addresses of files at the hub."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.errors import SpecError
from ten.hub.address import HubAddress, is_hub, parse_address

NAMES = st.from_regex(r"[A-Za-z0-9][\w.-]{0,10}", fullmatch=True).filter(str.isascii)
STEPS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda step: step != ".."
)


@given(
    st.sampled_from(["datasets", "models"]),
    st.lists(NAMES, min_size=2, max_size=2).map("/".join),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.lists(STEPS.filter(lambda step: "/" not in step), min_size=1, max_size=3).map("/".join),
)
def test_what_is_written_is_read_back(kind: str, repo: str, revision: str, path: str) -> None:
    address = HubAddress(kind="datasets" if kind == "datasets" else "models", repo=repo, revision=revision, path=path)
    if kind == "datasets" or not repo.startswith("datasets/"):
        assert parse_address(str(address)) == address


def test_an_address_reads_like_the_hubs_own() -> None:
    text = "hf://datasets/HuggingFaceFW/fineweb-edu@main/sample/10BT/000_00000.parquet"
    address = parse_address(text)
    assert str(address) == text
    assert address.route == "/datasets/HuggingFaceFW/fineweb-edu/resolve/main/sample/10BT/000_00000.parquet"
    assert parse_address("hf://openai-community/gpt2@main/tokenizer.json").kind == "models"
    assert parse_address("hf://gpt2@main/tokenizer.json").route == "/gpt2/resolve/main/tokenizer.json"


def test_the_hubs_own_branches_may_be_written_plainly() -> None:
    plain = parse_address("hf://datasets/a/b@refs/convert/parquet/default/train/0000.parquet")
    assert plain.revision == "refs/convert/parquet"
    assert plain.path == "default/train/0000.parquet"
    assert parse_address(str(plain)) == plain
    assert plain.route.startswith("/datasets/a/b/resolve/refs%2Fconvert%2Fparquet/default")


def test_names_that_are_no_url_letters_are_quoted_in_the_request_only() -> None:
    address = HubAddress(kind="datasets", repo="a/b", revision="v 1", path="d/é #1?.txt")
    assert address.route == "/datasets/a/b/resolve/v%201/d/%C3%A9%20%231%3F.txt"
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "hf://", "hf://datasets/a/b/c.txt", "hf://datasets/a/b@main", "hf://datasets/a/b@main/", "s3://a/b@c/d",
             "hf://datasets/a/b@main/../x", "hf://spaces/a/b@main/x", "data.txt"]
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="no file at the hub"):
        parse_address(text)


def test_a_path_is_at_the_hub_by_its_scheme() -> None:
    assert is_hub("hf://datasets/a/b@c/d")
    assert not is_hub("hf.txt")
