"""What a station is to be, as it comes: from the broker, or from a folder that somebody puts it into."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeAlias

import structlog

from agent.contract.desired import INSTALL_TYPE, MAX_DOCUMENT_BYTES, SETTINGS_TYPE
from agent.contract.inbound import Inbound
from agent.contract.topics import DESIRED, DesiredKind
from agent.remote.trees import Trees
from agent.settings import bounded
from agent.trust.envelope import SignatureError, parse

LOOK_S = 0.5
LONGEST_KEPT = 16  # files that are looked at in one turn
KINDS: Mapping[str, DesiredKind] = {SETTINGS_TYPE: "config", INSTALL_TYPE: "bundle"}

Take: TypeAlias = Callable[[bytes, Path | None], None]  # with the folder that it came in

log = structlog.get_logger(__name__)


class Inbox(Protocol):
    """Where documents wait."""

    def get(self, *, timeout: float) -> Inbound:
        """The oldest; raises queue.Empty when none comes within `timeout` seconds."""


class Documents:
    """A thread that hands each to whom its topic or its type names; no `take` may raise or wait."""

    def __init__(
        self,
        inbox: Inbox,
        folder: Path | None,
        takers: Mapping[DesiredKind, Take],
        trees: Trees | None = None,
    ) -> None:
        """Files in `folder` that end with .json are taken, and gone then; those in `trees` stay."""
        self._inbox = inbox
        self._folder = folder
        self._takers = takers
        self._trees = trees
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="documents", daemon=True)
        self.failure: Exception | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def turn(self, timeout_s: float = 0.0) -> None:
        """Whatever has come; waits for at most `timeout_s` for a message."""
        with suppress(queue.Empty):
            inbound = self._inbox.get(timeout=timeout_s)
            self._hand_over(inbound.topic, inbound.payload, None)
        if self._folder is not None:
            self._look(self._folder)
        if self._trees is not None:
            for one in self._trees.come():
                self._hand_over(one.topic, one.content, one.root)
            self._trees.bring_back()

    def _hand_over(self, topic: str, content: bytes, base: Path | None) -> None:
        for kind in DESIRED:
            if topic.endswith(f"/{kind}/desired") and kind in self._takers:
                self._takers[kind](content, base)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.turn(LOOK_S)
        except Exception as error:  # whatever ends this thread is for its crew to see
            log.error("documents_failed", reason=str(error), exc_info=error)
            self.failure = error

    def _look(self, folder: Path) -> None:
        try:
            found = sorted(one for one in folder.iterdir() if one.suffix == ".json" and one.name[0] != ".")
        except OSError:  # it need not be there
            return
        for path in found[:LONGEST_KEPT]:
            try:
                data = bounded.read(path, max_bytes=2 * MAX_DOCUMENT_BYTES)
                kind = KINDS.get(parse(data).payload_type, "config")
            except SignatureError:
                kind = "config"  # it gets its answer there
            except bounded.UnreadableError:
                continue
            if kind in self._takers:
                self._takers[kind](data, folder)
            try:
                path.unlink()
            except OSError as error:
                log.warning("document_stays", path=str(path), reason=str(error))
                self._folder = None  # rather than to take it for ever
                return
