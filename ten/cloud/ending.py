"""Ending: a droplet destroyed, and the proof of it: that the API has it no more."""

import logging
import time

from ten.cloud.api import Api
from ten.cloud.machines import Droplet
from ten.errors import ServiceUnavailable, TenError
from ten.units import format_seconds

log = logging.getLogger(__name__)
PROOF_S = 5 * 60.0
ASK_EVERY_S = 2.0
_AGAIN_EVERY_S = 20.0


def destroy(api: Api, droplet: Droplet, within_s: float = PROOF_S, pause_s: float = ASK_EVERY_S) -> None:
    """Destroy a droplet and wait until it is gone; an accepted request alone is no proof, and is repeated.

    Raises ServiceUnavailable, with what to do, where it is still there when patience is over.
    """
    until, asked_at = time.monotonic() + within_s, float("-inf")
    while True:
        if time.monotonic() - asked_at >= min(_AGAIN_EVERY_S, within_s / 3):
            api.destroy(droplet.id)
            asked_at = time.monotonic()
        if api.droplet(droplet.id) is None:
            return
        if time.monotonic() > until:
            raise ServiceUnavailable(
                f"{still_there(droplet)}: DigitalOcean took the request {format_seconds(within_s)} ago and has it "
                "still; `ten down --force` again, or destroy it in the panel"
            )
        time.sleep(pause_s)


def try_to_destroy(api: Api, droplet: Droplet, within_s: float = PROOF_S, pause_s: float = ASK_EVERY_S) -> bool:
    """The same, and an error message where it fails: for who is on the way out with another error."""
    try:
        destroy(api, droplet, within_s, pause_s)
    except TenError as error:
        log.error("%s; it is billed until then: `ten reap` destroys it once its lease is over", error)
        return False
    except KeyboardInterrupt:
        log.error("%s as far as is known; look with `ten ps`", still_there(droplet))
        raise
    log.info("droplet %s is destroyed", droplet.name)
    return True


def still_there(droplet: Droplet) -> str:
    """A droplet that should be gone, with what it costs."""
    price = "" if droplet.price_per_hour is None else f", ${droplet.price_per_hour:g} an hour"
    return f"droplet {droplet.name} (id {droplet.id}, {droplet.address or 'no address'}{price}) is still there"
