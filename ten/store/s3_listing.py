"""S3 listing: which objects there are, page by page; by the older request, since not every service pages the newer."""

from collections.abc import Iterator, Sequence
from typing import Any

from ten.errors import StoreError
from ten.store.protocol import ObjectStat
from ten.store.s3_abilities import PROBE
from ten.store.s3_bucket import S3Bucket


def objects_below(bucket: S3Bucket, prefix: str) -> Sequence[ObjectStat]:
    """Objects whose keys begin with `prefix`, in order of their keys, whatever order the service has."""
    before = len(bucket.settings.prefix)
    found = {
        item["Key"][before:]: item
        for page in _pages(bucket, prefix, Prefix=bucket.settings.prefix + prefix)
        for item in page.get("Contents", [])
    }
    return [
        ObjectStat(key=key, bytes=int(item["Size"]), modified=item["LastModified"].timestamp())
        for key, item in sorted(found.items())
        if _is_object(key)
    ]


def folder_names(bucket: S3Bucket, folder: str) -> Sequence[str]:
    """Names of the objects and folders directly below a folder, sorted."""
    prefix = f"{bucket.settings.prefix}{folder}/"
    names: set[str] = set()
    for page in _pages(bucket, folder, Prefix=prefix, Delimiter="/"):
        names |= {item["Prefix"].removeprefix(prefix).rstrip("/") for item in page.get("CommonPrefixes", [])}
        names |= {name for item in page.get("Contents", []) if _is_object(name := item["Key"].removeprefix(prefix))}
    return sorted(names - {""})


def _pages(bucket: S3Bucket, subject: str, **wanted: Any) -> Iterator[dict[str, Any]]:
    marker = ""
    known = {marker}
    while True:
        page = bucket.ask("list_objects", subject, Marker=marker, **wanted)
        yield page
        if not page.get("IsTruncated"):
            return
        last = [item["Key"] for item in page.get("Contents", [])]
        last += [item["Prefix"] for item in page.get("CommonPrefixes", [])]
        marker = page.get("NextMarker") or max(last, default="")
        if marker in known:
            raise StoreError(f"{bucket.name(subject)}: {bucket.settings.host} lists the same names again and again")
        known.add(marker)


def _is_object(key: str) -> bool:
    """Whether a name is no folder's, as panels make them, and not that of a probe."""
    name = key.rpartition("/")[2]
    return bool(name) and not name.startswith(PROBE)
