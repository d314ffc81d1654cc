"""Whether a station may run a bundle: who signed it, and whether it is an older one than allowed."""

from __future__ import annotations

import structlog

from agent.bundle.bundle import MANIFEST, SIGNATURE, Bundle
from agent.bundle.signing import BUNDLE_TYPE, SignatureError, load_public_key, verify
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings.settings import Trust

log = structlog.get_logger(__name__)


class NotTrusted(PlumblineError):
    """The bundle is whole, and this station's settings do not let it run; says which setting and why."""


def require_trusted(bundle: Bundle, trust: Trust) -> None:
    """Raises NotTrusted unless one of the trusted keys signed the bundle and its counter is high enough.

    Without keys every bundle of a high enough counter is trusted, which is said in the log.
    """
    place = shown(str(bundle.path))
    if trust.keys:
        _require_signature(bundle, trust, place)
    else:
        log.info(
            "bundle_not_authenticated",
            bundle=bundle.manifest.name,
            sha256=bundle.sha256[:12],
            remedy="name public keys in trust.keys, and only bundles signed by one of them run",
        )
    counter = bundle.manifest.counter
    if counter < trust.lowest_counter:
        raise NotTrusted(
            f"{place}: its counter is {counter}, and trust.lowest_counter is {trust.lowest_counter}; "
            "install a newer bundle, or lower the setting to go back to this one"
        )


def _require_signature(bundle: Bundle, trust: Trust, place: str) -> None:
    try:
        keys = [load_public_key(path) for path in trust.keys]
    except SignatureError as error:
        raise NotTrusted(f"trust.keys: {error}") from error
    remedy = "install a bundle that is, or add the public key of who signed this one to trust.keys"
    envelope = bundle.files.get(SIGNATURE)
    if envelope is None:
        raise NotTrusted(f"{place}: not signed, and trust.keys wants one of {len(keys)} keys; {remedy}")
    try:
        verify(envelope, bundle.files[MANIFEST], BUNDLE_TYPE, *keys)
    except SignatureError as error:
        raise NotTrusted(f"{place}/{SIGNATURE}: {error}; {remedy}") from error
