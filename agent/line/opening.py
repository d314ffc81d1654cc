"""Bundles that recipes name and that are not open: opened beside the lines, which wait for none of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeAlias

import structlog

from agent.bundle.bundle import Bundle, read_head
from agent.bundle.files import open_files
from agent.bundle.trust import require_trusted
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.line.book import Refusal
from agent.line.opened import NoRoomError, OpenedBundle, OpenedBundles
from agent.settings.settings import Trust

LOOK_EVERY_S = 0.2
AGAIN_S = 15.0
ROOM_WITHIN_S = 60.0  # what nobody names any more is closed, and makes room

log = structlog.get_logger()

Came: TypeAlias = Callable[[Path, OpenedBundle], None]
Failed: TypeAlias = Callable[[Path, Refusal], None]


def head_of(path: Path, trust: Trust) -> Bundle:
    """Its manifest, which is trusted; its files may still be damaged. Raises BundleError, NotTrusted."""
    with open_files(path) as there:
        head = read_head(there, path)
    require_trusted(head, trust)
    return head


def opening(name: str) -> Refusal:
    return Refusal(
        reason="bundle_opening",
        detail=f"the bundle of recipe {name} is being opened; inspect the part again in a moment",
    )


class Opener:
    """One thread, in turns of `turn`; `came` and `failed` are told in it."""

    def __init__(
        self, bundles: OpenedBundles, missing: Callable[[], Collection[Path]], came: Came, failed: Failed
    ) -> None:
        """`missing` gives the places of bundles that are named and not open."""
        self._bundles = bundles
        self._missing = missing
        self._came = came
        self._failed = failed
        self._since_s: dict[Path, float] = {}
        self._again_s: dict[Path, float] = {}

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(LOOK_EVERY_S):
            self.turn()

    def turn(self) -> None:
        """Open what is missing, one after the other; what cannot be opened is tried again after a while."""
        missing, now_s = list(self._missing()), time.monotonic()
        for times in (self._since_s, self._again_s):
            for gone in times.keys() - set(missing):
                del times[gone]
        for path in missing:
            since_s = self._since_s.setdefault(path, now_s)
            if now_s < self._again_s.get(path, now_s):
                continue
            try:
                opened = self._bundles.open(path)
            except PlumblineError as error:
                self._again_s[path] = now_s + AGAIN_S
                log.warning("bundle_of_recipe_not_opened", path=shown(str(path)), reason=shown(str(error)))
                waits = isinstance(error, NoRoomError) and now_s - since_s < ROOM_WITHIN_S
                self._failed(path, _refusal(error, waits=waits))
                continue
            try:
                self._came(path, opened)
            finally:
                self._bundles.drop(opened.sha256)  # from here on a recipe needs it, or nobody does


def _refusal(error: PlumblineError, *, waits: bool) -> Refusal:
    return Refusal(reason="bundle_opening" if waits else "no_model", detail=str(error))
