"""Refusals: what the API says no with → whose fault it is and what to do."""

from ten.calls.retry import Transient, passes_by_itself
from ten.cloud.access import Access
from ten.errors import CredentialsError, ServiceUnavailable, SpecError


class NoStock(Exception):
    """A size cannot be had in a region now; the next offer may. Never leaves the package."""


class Busy(Transient):
    """Too many requests: nothing was done."""


def refusal(status: int, words: str, what: str, access: Access, wait_s: float | None = None) -> Exception:
    """The error behind an answer: Transient for what passes, NoStock for what another offer may have."""
    if status == 429:
        return Busy(f"{access.url} asks for fewer requests", wait_s)
    if passes_by_itself(status):
        return Transient(f"{access.url} answers {status}", wait_s)
    return _for_good(status, words, what, access)


def _for_good(status: int, words: str, what: str, access: Access) -> Exception:
    lower = words.lower()
    if status == 401:
        return CredentialsError(
            f"{what}: {access.token_from} is not accepted; make a new token, with scopes {access.scopes}"
        )
    if "limit" in lower and ("droplet" in lower or "gpu" in lower):
        return SpecError(
            f"{what}: {words}; ask DigitalOcean to raise the account's limit for GPU droplets, or `ten ps`"
        )
    if status == 403:
        return CredentialsError(
            f"{what}: {access.token_from} may not do that ({words}); it needs the scopes {access.scopes}"
        )
    if status == 422 and ("not available" in lower or "sold out" in lower or "unavailable" in lower):
        return NoStock(words)
    if status in (400, 404, 409, 422):
        return SpecError(f"{what}: refused: {words}")
    return ServiceUnavailable(f"{what}: {access.url} answers {status}: {words}")
