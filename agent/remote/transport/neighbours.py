"""Files that other bundles of the depot have already, found by their digests.

They are copied and not linked: a block of the disk that goes bad must not cost a bundle and the way back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent.bundle.bundle import MANIFEST, MAX_MANIFEST_BYTES, parse_manifest
from agent.bundle.files import BundleError, open_files
from agent.remote.rollout.depot import Depot


def neighbours(depot: Depot) -> dict[str, tuple[Path, str]]:
    """Bundle and name of a file for each digest that a manifest here names. Raises DepotError."""
    found: dict[str, tuple[Path, str]] = {}
    for sha256 in depot.bundles():
        path = depot.path_of(sha256)
        try:
            with open_files(path) as there:
                manifest = parse_manifest(there.read(MANIFEST, MAX_MANIFEST_BYTES), name=MANIFEST)
        except (BundleError, KeyError):  # one that is damaged has nothing to give
            continue
        for name, digest in manifest.files.items():
            found.setdefault(digest, (path, name))
    return found


def copied(place: tuple[Path, str], limit: int) -> Iterator[bytes]:
    """Its bytes, as far as they can be read."""
    path, name = place
    try:
        with open_files(path) as there:
            yield from there.pieces(name, limit)
    except (BundleError, KeyError):
        return
