"""What an object store says no with: status, XML and headers, as Amazon's words them."""

import re
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from xml.sax.saxutils import escape

_REQUEST_ID = "tx00000standin"
_REGION = "ams3"


@dataclass(frozen=True)
class Refusal:
    """One error code's answer; `{...}` in its details is filled in from the request."""

    status: int
    message: str
    details: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """What a refusal is an answer to."""

    path: str
    authorization: str
    ahead_s: float
    """By how much the server's clock is ahead."""


REFUSALS = {
    "InternalError": Refusal(500, "We encountered an internal error. Please try again."),
    "SlowDown": Refusal(503, "Please reduce your request rate."),
    "ServiceUnavailable": Refusal(503, "Service is unable to handle request."),
    "TooManyRequests": Refusal(429, "Please reduce your request rate.", headers={"Retry-After": "1"}),
    "BadGateway": Refusal(502, ""),
    "RequestTimeout": Refusal(
        400, "Your socket connection to the server was not read from or written to within the timeout period."
    ),
    "AccessDenied": Refusal(403, "Access Denied"),
    "InvalidAccessKeyId": Refusal(
        403, "The AWS Access Key Id you provided does not exist in our records.", {"AWSAccessKeyId": "{key_id}"}
    ),
    "SignatureDoesNotMatch": Refusal(
        403,
        "The request signature we calculated does not match the signature you provided. Check your key and signing"
        " method.",
        {"AWSAccessKeyId": "{key_id}", "StringToSign": "AWS4-HMAC-SHA256", "SignatureProvided": "{signature}"},
    ),
    "ExpiredToken": Refusal(400, "The provided token has expired."),
    "RequestTimeTooSkewed": Refusal(
        403,
        "The difference between the request time and the current time is too large.",
        {"ServerTime": "{server_time}", "MaxAllowedSkewMilliseconds": "900000"},
    ),
    "PermanentRedirect": Refusal(
        301,
        "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all"
        " future requests to this endpoint.",
        {"Endpoint": f"{_REGION}.example.com", "Bucket": "{bucket}"},
        {"x-amz-bucket-region": _REGION},
    ),
    "AuthorizationHeaderMalformed": Refusal(
        400,
        f"The authorization header is malformed; the region 'us-east-1' is wrong; expecting '{_REGION}'",
        {"Region": _REGION},
        {"x-amz-bucket-region": _REGION},
    ),
    "IllegalLocationConstraintException": Refusal(
        400,
        f"The {_REGION} location constraint is incompatible for the region specific endpoint this request was sent to.",
    ),
    "NoSuchBucket": Refusal(404, "The specified bucket does not exist", {"BucketName": "{bucket}"}),
    "BadDigest": Refusal(400, "The Content-MD5 you specified did not match what we received."),
    "MissingContentLength": Refusal(411, "You must provide the Content-Length HTTP header."),
    "NotImplemented": Refusal(501, "A header you provided implies functionality that is not implemented."),
    "QuotaExceeded": Refusal(403, "The storage quota of this account is exceeded."),
}


def refusal_body(code: str, refused: Refused) -> bytes:
    """The body of an error; a gateway's is no XML."""
    if code == "BadGateway":
        return b"<html><head><title>502 Bad Gateway</title></head><body>openresty</body></html>"
    known = {
        "bucket": refused.path.split("/")[1],
        "key_id": _found(r"Credential=([^/]+)/", refused.authorization),
        "signature": _found(r"Signature=(\w+)", refused.authorization),
        "server_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + refused.ahead_s)),
    }
    refusal = REFUSALS[code]
    said = {"Code": code, "Message": refusal.message, "RequestId": _REQUEST_ID, "HostId": "standin"}
    said |= {name: detail.format_map(known) for name, detail in refusal.details.items()}
    fields = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in said.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{fields}</Error>'.encode()


def refusal_headers(code: str, refused: Refused) -> dict[str, str]:
    """The headers of an error, less its length."""
    kind = "text/html" if code == "BadGateway" else "application/xml"
    clock = formatdate(time.time() + refused.ahead_s, usegmt=True)
    return {"Content-Type": kind, "Date": clock, "x-amz-request-id": _REQUEST_ID, **REFUSALS[code].headers}


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""
