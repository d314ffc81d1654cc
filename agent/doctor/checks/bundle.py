"""The model bundle: whole, and trusted."""

from __future__ import annotations

from collections.abc import Iterator

from agent.bundle.bundle import Bundle, BundleError, open_bundle
from agent.bundle.trust import NotTrusted, require_trusted
from agent.doctor.finding import Said, failed, note, ok, skipped
from agent.doctor.site import Site

COPY = "copy the bundle again"


def digests(site: Site) -> Iterator[Said]:
    try:
        bundle = open_bundle(site.settings.bundle)
    except BundleError as error:
        yield failed(error, COPY)
        return
    manifest = bundle.manifest
    size = sum(map(len, bundle.files.values()))
    yield ok(
        f"{manifest.name}, counter {manifest.counter}, {bundle.sha256[:12]}: {len(bundle.files)} files, "
        f"{size / 1e6:.1f} MB, every digest right"
    )
    if (words := manifest.threshold.provisional_words()) is not None:
        yield note(f"its threshold is {words}", "calibrate with more good parts")


def trust(site: Site) -> Iterator[Said]:
    wanted = site.settings.trust
    try:
        bundle = open_bundle(site.settings.bundle)
    except BundleError:
        yield skipped("the bundle cannot be opened")
        return
    try:
        require_trusted(bundle, wanted)
    except NotTrusted as error:
        yield failed(error, "install a bundle that is trusted")
        return
    if wanted.keys:
        yield ok(f"signed by one of {len(wanted.keys)} keys of trust.keys")
    else:
        yield note(
            f"{bundle.manifest.name}: whoever can write the bundle's folder decides what runs here",
            "name public keys in trust.keys, and only bundles signed by one of them run",
        )


def usable(site: Site) -> Bundle | None:
    """The bundle that the agent would run; None where the checks above say why it would not."""
    try:
        bundle = open_bundle(site.settings.bundle)
        require_trusted(bundle, site.settings.trust)
    except (BundleError, NotTrusted):
        return None
    return bundle
