"""Claims about what an address and the environment come to."""

from collections.abc import Mapping

import pytest

from ten.errors import CredentialsError, ServiceUnavailable, SpecError
from ten.store.s3_settings import S3Settings, read_settings

KEYS = {"SPACES_ACCESS_KEY_ID": "id-of-all", "SPACES_SECRET_ACCESS_KEY": "secret-of-all"}

SPACES = "digitaloceanspaces.com"


def settings(address: str = "s3://my-bucket/some/prefix", **more: str) -> S3Settings:
    return read_settings(address, KEYS | more)


@pytest.mark.parametrize(
    ("address", "bucket", "prefix", "url"),
    [
        ("s3://abc", "abc", "", "s3://abc"),
        ("s3://abc/", "abc", "", "s3://abc"),
        ("s3://my-bucket/a/b/", "my-bucket", "a/b/", "s3://my-bucket/a/b"),
    ],
)
def test_an_address_is_a_bucket_and_a_prefix(address: str, bucket: str, prefix: str, url: str) -> None:
    found = settings(address)
    assert (found.bucket, found.prefix, found.url) == (bucket, prefix, url)


@pytest.mark.parametrize("address", ["s3://", "s3:///x", "s3://My_Bucket", "s3://ab", "s3://abc/../x", "s3://abc/a//b"])
def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(SpecError, match="write s3://bucket/prefix"):
        settings(address)


def test_keys_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(SpecError, match="no keys in an address") as caught:
        settings("s3://id:very-secret@bucket/x")
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "endpoint", "region", "addressing"),
    [
        ({"SPACES_ENDPOINT": f"https://nyc3.{SPACES}/"}, f"https://nyc3.{SPACES}", "nyc3", "virtual"),
        ({"SPACES_ENDPOINT": f"ams3.{SPACES}"}, f"https://ams3.{SPACES}", "ams3", "virtual"),
        ({"SPACES_REGION": "fra1"}, f"https://fra1.{SPACES}", "fra1", "virtual"),
        ({"SPACES_ENDPOINT": "http://localhost:9", "SPACES_REGION": "fra1"}, "http://localhost:9", "us-east-1", "path"),
        ({"AWS_ENDPOINT_URL": "http://10.0.0.7"}, "http://10.0.0.7", "us-east-1", "path"),
        (
            {"AWS_ENDPOINT_URL": "https://a.b", "AWS_ENDPOINT_URL_S3": "https://c.d"},
            "https://c.d",
            "us-east-1",
            "virtual",
        ),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-west-2"}, None, "eu-west-1", "virtual"),
        ({"SPACES_REGION": "fra1", "TEN_S3_ADDRESSING": "path"}, f"https://fra1.{SPACES}", "fra1", "path"),
        ({}, None, "us-east-1", "virtual"),
    ],
)
def test_the_environment_says_who_is_asked_and_how(
    variables: Mapping[str, str], endpoint: str | None, region: str, addressing: str
) -> None:
    found = settings(**variables)
    assert (found.endpoint, found.region, found.addressing) == (endpoint, region, addressing)


def test_a_bucket_with_dots_is_no_part_of_the_host() -> None:
    assert settings("s3://my.bucket").addressing == "path"


def test_what_is_set_for_one_bucket_goes_first_there() -> None:
    scoped = {
        "SPACES_ACCESS_KEY_ID__MY_BUCKET": "id-of-one",
        "SPACES_SECRET_ACCESS_KEY__MY_BUCKET": "secret-of-one",
        "SPACES_ENDPOINT__MY_BUCKET": "https://one.example",
    }
    mine, other = settings("s3://my-bucket/x", **scoped), settings("s3://other/x", **scoped)
    assert (mine.keys.id, mine.keys.secret, mine.endpoint) == ("id-of-one", "secret-of-one", "https://one.example")
    assert mine.keys.id_from == "SPACES_ACCESS_KEY_ID__MY_BUCKET"
    assert (other.keys.id, other.keys.secret, other.endpoint) == ("id-of-all", "secret-of-all", None)


def test_amazons_variables_do_too() -> None:
    names = {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    keys = read_settings("s3://abc", names).keys
    assert (keys.id, keys.secret, keys.token, keys.secret_from) == ("i", "s", "t", "AWS_SECRET_ACCESS_KEY")


def test_no_keys_at_all_is_said_with_their_names() -> None:
    with pytest.raises(CredentialsError, match=r"SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY.*\.env"):
        read_settings("s3://abc", {})


@pytest.mark.parametrize("there", sorted(KEYS))
def test_half_a_key_is_named_by_the_other_half(there: str) -> None:
    (missing,) = KEYS.keys() - {there}
    with pytest.raises(CredentialsError, match=f"^{missing} is not set, though {there} is"):
        read_settings("s3://abc", {there: "x", "AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s"})


def test_keys_are_not_printed() -> None:
    found = settings()
    for text in (repr(found), str(found), repr(found.keys)):
        assert "id-of-all" not in text
        assert "secret-of-all" not in text


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("https://my-bucket.nyc3.digitaloceanspaces.com", "https://nyc3.digitaloceanspaces.com"),
        ("https://other.nyc3.digitaloceanspaces.com", "https://nyc3.digitaloceanspaces.com"),
        ("https://my-bucket.nyc3.cdn.digitaloceanspaces.com", "https://nyc3.digitaloceanspaces.com"),
        ("https://my-bucket.s3.example", "https://s3.example"),
        ("http://127.0.0.1:9000/my-bucket", "http://127.0.0.1:9000"),
    ],
)
def test_an_endpoint_with_a_bucket_in_it_is_told_what_to_be(wrong: str, right: str) -> None:
    with pytest.raises(ServiceUnavailable, match=f"set SPACES_ENDPOINT={right}$"):
        settings(SPACES_ENDPOINT=wrong)


@pytest.mark.parametrize(
    "variables",
    [
        {"SPACES_ENDPOINT": "ftp://host"},
        {"SPACES_ENDPOINT": "https://"},
        {"SPACES_ENDPOINT": "https://id:secret@host"},
        {"SPACES_REGION": "nyc3.digitaloceanspaces.com"},
        {"AWS_REGION": "us east"},
        {"TEN_S3_ADDRESSING": "paths"},
    ],
)
def test_a_setting_that_cannot_be_is_named(variables: Mapping[str, str]) -> None:
    with pytest.raises(SpecError, match=next(iter(variables))) as caught:
        settings(**variables)
    assert "secret" not in str(caught.value)
