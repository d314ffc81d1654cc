"""Whether a station may run a bundle: who signed it, and whether it is an older one than allowed."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.bundle.bundle import BUNDLE_TYPE, MANIFEST, SIGNATURE, Bundle
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings.settings import Trust
from agent.trust.envelope import SignatureError, verify
from agent.trust.keys import KeyFileError, load_public_key
from agent.trust.trust_set import TrustError, TrustSet, load_trust

log = structlog.get_logger(__name__)


class NotTrusted(PlumblineError):
    """The bundle is whole, and this station's settings do not let it run; says which setting and why."""


def require_trusted(bundle: Bundle, trust: Trust) -> None:
    """Raises NotTrusted unless those whom the settings trust signed it and its counter is high enough.

    With `trust.file` as many keys with the role bundle sign as it says, with `trust.keys` one of them; with
    neither every bundle of a high enough counter is trusted, which is said in the log.
    """
    place = shown(str(bundle.path))
    if trust.file is not None:
        try:
            signers = load_trust(trust.file)
        except TrustError as error:
            raise NotTrusted(f"trust.file: {error}") from error
        require_signed(bundle, signers, name="trust.file")
    elif trust.keys:
        try:
            keys = [load_public_key(path) for path in trust.keys]
        except KeyFileError as error:
            raise NotTrusted(f"trust.keys: {error}") from error
        remedy = "install a bundle that is, or add the public key of who signed this one to trust.keys"
        _require_signature(bundle, keys, 1, name="trust.keys", remedy=remedy)
    else:
        log.info(
            "bundle_not_authenticated",
            bundle=bundle.manifest.name,
            sha256=bundle.sha256[:12],
            remedy="name public keys in trust.keys or a trust.file, and only bundles signed by them run",
        )
    counter = bundle.manifest.counter
    if counter < trust.lowest_counter:
        raise NotTrusted(
            f"{place}: its counter is {counter}, and trust.lowest_counter is {trust.lowest_counter}; "
            "install a newer bundle, or lower the setting to go back to this one"
        )


def require_signed(bundle: Bundle, trust: TrustSet, *, name: str) -> None:
    """Raises NotTrusted unless the keys with the role bundle signed it; `name` says where `trust` is from."""
    remedy = (
        "install a bundle that is, have this one signed with plumbline-lab keys sign, or give the key of who "
        f"signed it the role bundle in {name}"
    )
    _require_signature(bundle, trust.keys_of("bundle"), trust.threshold, name=name, remedy=remedy)


def _require_signature(
    bundle: Bundle, keys: Sequence[Ed25519PublicKey], threshold: int, *, name: str, remedy: str
) -> None:
    place = shown(str(bundle.path))
    envelope = bundle.files.get(SIGNATURE)
    if envelope is None:
        raise NotTrusted(f"{place}: not signed, and {name} wants {threshold} of {len(keys)} keys; {remedy}")
    try:
        verify(envelope, bundle.files[MANIFEST], BUNDLE_TYPE, *keys, threshold=threshold)
    except SignatureError as error:
        raise NotTrusted(f"{place}/{SIGNATURE}: {error}; {remedy}") from error
