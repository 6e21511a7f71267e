"""S3 abilities: what a service does beyond storing bytes, found out by trying and remembered."""

import secrets
import threading
from base64 import b64encode

from ten.calls.retry import Transient
from ten.errors import StoreError
from ten.store.s3_bucket import S3Bucket
from ten.store.s3_refusals import PRECONDITION, Refused

PROBE = ".probe-"
"""How the names of objects begin that are made to be deleted."""
_OTHER_MD5 = b64encode(bytes(16)).decode()


class Abilities:
    """Of one service; each is asked for when it first matters."""

    def __init__(self, bucket: S3Bucket) -> None:
        self._bucket = bucket
        self._lock = threading.Lock()
        self._checks_md5: bool | None = None
        self._refuses_second: bool | None = None

    @property
    def checks_md5(self) -> bool:
        """Whether bytes that are not those of their Content-MD5 are refused."""
        with self._lock:
            if self._checks_md5 is None:
                self._checks_md5 = self._probe_md5()
            return self._checks_md5

    @property
    def refuses_second(self) -> bool:
        """Whether a write with `If-None-Match: *` is refused where there is an object."""
        with self._lock:
            if self._refuses_second is None:
                self._refuses_second = self._probe_second()
            return self._refuses_second

    def _probe_md5(self) -> bool:
        key = f"{PROBE}{secrets.token_hex(8)}"
        persistence = self._bucket.persistence(key)
        refused = False

        def attempt() -> None:
            nonlocal refused
            try:
                self._bucket.attempt("put_object", key, persistence, Body=b"probe", ContentMD5=_OTHER_MD5)
            except Transient as failure:
                if "arrived damaged" not in failure.reason:
                    raise
                refused = True

        persistence.insist(attempt)
        if not refused:
            self._bucket.ask("delete_object", key)
        return refused

    def _probe_second(self) -> bool:
        key = f"{PROBE}{secrets.token_hex(8)}"
        self._bucket.ask("put_object", key, Body=b"probe")
        try:
            self._bucket.ask("put_object", key, Body=b"probe", IfNoneMatch="*")
        except Refused as refused:
            return refused.code == PRECONDITION
        except StoreError:  # such as NotImplemented
            return False
        finally:
            self._bucket.ask("delete_object", key)
        return False
