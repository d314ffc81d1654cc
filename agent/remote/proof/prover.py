"""A candidate proven against what serves now, by the settings in force."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.bundle.bundle import Bundle, open_bundle, read_head
from agent.bundle.files import open_files
from agent.errors import PlumblineError
from agent.line.way import RightOfWay
from agent.remote.proof.apart import COMMAND, prove_apart
from agent.remote.proof.document import Found, NotProven, Order, Step
from agent.remote.proof.limits import refusal
from agent.remote.rollout.transaction import Proven
from agent.settings.settings import Settings

FOLDER = "proofs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prover:
    """Proves candidates, each in a process of its own that dies with the thread which asks."""

    wanted: Settings
    tell: Callable[[Step], None] = lambda step: None
    command: Sequence[str] = COMMAND
    way: RightOfWay = field(default_factory=RightOfWay)  # of the lines that judge in this process

    def __call__(self, candidate: Path, incumbent: Path | None, *, cancelled: Callable[[], bool]) -> Proven:
        """As `prove`, in short."""
        return self.prove(candidate, incumbent, cancelled=cancelled).brief()

    def prove(self, candidate: Path, incumbent: Path | None, *, cancelled: Callable[[], bool]) -> Found:
        """What was found of a candidate that may serve in place of the incumbent, which goes on.

        Its engine lies in the cache then, and pictures in `folder_of` the settings. Raises NotProven with the
        reason; BundleError for what is no bundle; Ended soon after `cancelled` says True.
        """
        order = self.order_of(candidate, incumbent)
        limits = self.wanted.remote.proof
        found = prove_apart(
            order,
            timeout_s=limits.timeout_s,
            cancelled=cancelled,
            tell=self.tell,
            command=self.command,
            way=self.way,
        )
        reason = refusal(found, limits)
        if reason is not None:
            raise NotProven(422, reason, found)
        return found

    def order_of(self, candidate: Path, incumbent: Path | None) -> Order:
        """What the process is told. Raises BundleError."""
        serves = None if incumbent is None else _whole(incumbent)
        return Order(
            parent=os.getpid(),
            candidate=str(candidate.resolve()),
            candidate_sha256=_head(candidate).sha256,
            incumbent=None if serves is None else str(serves.path),
            incumbent_sha256=None if serves is None else serves.sha256,
            folder=str(folder_of(self.wanted)),
            settings=json.loads(self.wanted.model_dump_json()),
        )


def folder_of(wanted: Settings) -> Path:
    """Where the last proofs are kept, with their worst pictures: beside the outbox, as the engines are."""
    return wanted.outbox.path.parent / FOLDER


def _head(path: Path) -> Bundle:
    with open_files(path) as there:
        return read_head(there, path)


def _whole(path: Path) -> Bundle | None:
    """What serves, where it is whole: against anything else nothing can be compared."""
    try:
        return open_bundle(path)
    except PlumblineError:
        return None
