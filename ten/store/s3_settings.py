"""S3 settings: which bucket of which service, with which keys, as an address and the environment say."""

import ipaddress
import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from ten.errors import CredentialsError, ServiceUnavailable, SpecError

_SPACES = "digitaloceanspaces.com"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z0-9-]+")
_KEYS = (
    ("SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY", ""),
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
)


class S3Keys(msgspec.Struct, frozen=True, kw_only=True):
    """An access key. What prints it prints where it is from."""

    id: str
    secret: str
    token: str | None
    id_from: str
    """The variable that holds the id."""
    secret_from: str
    """The variable that holds the secret."""

    def __repr__(self) -> str:
        return f"S3Keys({self.id_from}, {self.secret_from})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("id_from", self.id_from), ("secret_from", self.secret_from)]


class S3Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a client needs to reach one bucket."""

    bucket: str
    prefix: str
    """What every key begins with: empty, or ending with a slash."""
    endpoint: str | None
    """None: where AWS says that the region is."""
    region: str
    addressing: str
    """How the bucket is named: "virtual" (in the host) or "path"."""
    keys: S3Keys

    @property
    def url(self) -> str:
        """The address."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def host(self) -> str:
        """Who answers, for people."""
        return urlsplit(self.endpoint).netloc if self.endpoint else f"s3.{self.region}.amazonaws.com"


def read_settings(address: str, environment: Mapping[str, str] = os.environ) -> S3Settings:
    """What `s3://bucket/prefix` means in an environment. A name with `__BUCKET` behind it goes first for that bucket.

    Raises SpecError for an address or a setting that cannot be, CredentialsError when there are no keys and
    ServiceUnavailable for an endpoint that has the bucket in it.
    """
    bucket, prefix = _split(address)
    scoped = _Scoped(environment, bucket)
    endpoint, source = _endpoint(scoped)
    if endpoint is not None:
        _check_endpoint(endpoint, source, bucket)
    return S3Settings(
        bucket=bucket,
        prefix=f"{prefix}/" if prefix else "",
        endpoint=endpoint,
        region=_region(scoped, endpoint),
        addressing=_addressing(scoped, endpoint, bucket),
        keys=_keys(scoped),
    )


class _Scoped:
    """Variables of which those with a bucket's name behind them go first."""

    def __init__(self, environment: Mapping[str, str], bucket: str) -> None:
        self._environment = environment
        self.suffixes = (f"__{re.sub('[^A-Z0-9]', '_', bucket.upper())}", "")

    def exact(self, name: str) -> str:
        return self._environment.get(name, "").strip()

    def named(self, *names: str) -> tuple[str, str]:
        """The first of the variables that is set, and its name."""
        for name in names:
            for suffix in self.suffixes:
                if value := self.exact(name + suffix):
                    return value, name + suffix
        return "", ""


def _split(address: str) -> tuple[str, str]:
    bucket, _, path = address.removeprefix("s3://").partition("/")
    if "@" in bucket:
        raise SpecError("store s3://…@…: no keys in an address; set SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY")
    if not _BUCKET.fullmatch(bucket):
        raise SpecError(
            f"store {address!r}: {bucket!r} is no name of a bucket (3 to 63 of a-z, 0-9, -); write s3://bucket/prefix"
        )
    prefix = path.strip("/")
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise SpecError(f"store {address!r}: {prefix!r} is no prefix; write s3://bucket/prefix")
    return bucket, prefix


def _endpoint(scoped: _Scoped) -> tuple[str | None, str]:
    """The service's address, and the variable that said it."""
    value, source = scoped.named("SPACES_ENDPOINT")
    if not value:
        region, source = scoped.named("SPACES_REGION")
        if region and not _REGION.fullmatch(region):
            raise SpecError(f"{source}={region!r} is no region; write one such as nyc3")
        value = f"https://{region}.{_SPACES}" if region else ""
    if not value:
        value, source = scoped.named("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    if not value:
        return None, ""
    endpoint = (value if "://" in value else f"https://{value}").rstrip("/")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise SpecError(f"{source}: not an address of a service; write one such as https://nyc3.{_SPACES}")
    return endpoint, source


def _check_endpoint(endpoint: str, source: str, bucket: str) -> None:
    """Raises ServiceUnavailable for the address that a panel shows for a bucket: it would be named twice."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    region = host.removesuffix(f".{_SPACES}")
    if host.endswith(f".{_SPACES}") and not _REGION.fullmatch(region):
        right = f"https://{region.removesuffix('.cdn').rpartition('.')[2]}.{_SPACES}"
    elif host.startswith(f"{bucket}."):
        right = endpoint.replace(f"//{bucket}.", "//", 1)
    elif parts.path.strip("/") == bucket:
        right = endpoint.removesuffix(f"/{bucket}")
    else:
        return
    raise ServiceUnavailable(
        f"{source}={endpoint} has a bucket (or the CDN) in it, which would be asked for bucket {bucket!r} in vain; "
        f"set {source}={right}"
    )


def _region(scoped: _Scoped, endpoint: str | None) -> str:
    """What requests are signed for: of Spaces the region in the host, else what is set."""
    host = urlsplit(endpoint or "").hostname or ""
    if host.endswith(f".{_SPACES}"):
        return host.removesuffix(f".{_SPACES}")
    region, source = scoped.named("AWS_REGION", "AWS_DEFAULT_REGION")
    if region and not _REGION.fullmatch(region):
        raise SpecError(f"{source}={region!r} is no region; write one such as us-east-1")
    return region or "us-east-1"


def _addressing(scoped: _Scoped, endpoint: str | None, bucket: str) -> str:
    wanted, source = scoped.named("TEN_S3_ADDRESSING")
    if wanted and wanted not in ("path", "virtual"):
        raise SpecError(f"{source}={wanted!r}: write path or virtual")
    if wanted:
        return wanted
    if "." in bucket:  # no certificate has a name for it
        return "path"
    parts = urlsplit(endpoint or "https://amazonaws.com")
    host = parts.hostname or ""
    return "path" if parts.port or host == "localhost" or _is_ip(host) else "virtual"


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _keys(scoped: _Scoped) -> S3Keys:
    for suffix in scoped.suffixes:
        for id_name, secret_name, token_name in _KEYS:
            id_from, secret_from = id_name + suffix, secret_name + suffix
            id_, secret = scoped.exact(id_from), scoped.exact(secret_from)
            if bool(id_) != bool(secret):
                there, missing = (id_from, secret_from) if id_ else (secret_from, id_from)
                raise CredentialsError(f"{missing} is not set, though {there} is: set both, here or in .env")
            if id_ and secret:
                token = scoped.exact(token_name + suffix) if token_name else ""
                return S3Keys(id=id_, secret=secret, token=token or None, id_from=id_from, secret_from=secret_from)
    raise CredentialsError(
        "no keys for the store: set SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY (or AWS_ACCESS_KEY_ID and "
        f"AWS_SECRET_ACCESS_KEY), here or in .env; with {scoped.suffixes[0]} behind the names for this bucket alone"
    )
