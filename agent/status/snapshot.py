"""What the board shows at one moment: the nouns that page, health and demo read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from agent.cameras.life import CameraState, Counts
from agent.contract.verdict import Verdict
from agent.messages import Floats, VerdictName
from agent.status.picture import Picture
from agent.status.work import Work

LinkState: TypeAlias = Literal["connecting", "connected", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StripFrame:
    """One of a camera's last records; `picture` is None where there were no pixels."""

    verdict: Verdict
    width: int
    height: int
    picture: Picture | None
    size_bytes: int
    is_let_go: bool = False  # there was a picture, and newer ones needed its memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A record that was not a pass, with the pictures that say why."""

    verdict: Verdict
    width: int
    height: int
    input: Picture
    restored: Picture | None
    heat: Picture | None
    size_bytes: int
    evidence: Floats | None = None  # raw map of the whole frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Which model judges, and on what."""

    engine: str
    bundle: str
    bundle_sha256: str
    threshold: float
    provisional_rate: float | None = None  # false rejects that it promises, where it does not keep its target


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxReader:
    """What waits for the broker (`mqtt`) or for a gateway, by its name."""

    name: str
    rows: int
    oldest_s: float
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxDepth:
    rows: int
    size_bytes: int
    oldest_s: float
    readers: tuple[OutboxReader, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Of the last LATENCIES records that have one; None where there is none yet."""

    count: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraView:
    name: str
    state: CameraState
    detail: str
    for_s: float  # since the state last changed
    counts: Counts | None
    strip: tuple[StripFrame, ...]  # newest first
    work: Work
    interval_s: float | None = None  # the longest of the last gaps between pictures; None before the second
    frozen_s: float | None = None  # for how long every picture has been the same; None where they differ


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    state: LinkState
    detail: str
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The board at one moment."""

    station: str
    version: str
    now: datetime
    started: datetime
    up_s: float
    serving: Serving | None
    counts: dict[VerdictName, int]
    infer: Latency
    capture_to_recorded: Latency
    cameras: tuple[CameraView, ...]
    link: LinkView
    outbox: OutboxDepth
    troubles: tuple[str, ...]  # by source, one sentence each
    rejects: tuple[Reject, ...]  # newest first
