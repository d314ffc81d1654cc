"""Which camera a source setting means, and how much patience it deserves."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from typing import TypeAlias

from agent.cameras.anew import Anew
from agent.cameras.arrivals import Arrivals
from agent.cameras.camera import Camera
from agent.cameras.folder import FolderCamera
from agent.cameras.genicam.accounting import Books
from agent.cameras.genicam.camera import GenicamCamera
from agent.cameras.gentl.camera import HarvestersCamera
from agent.cameras.images import list_images
from agent.cameras.life import CameraState, Life, Patience
from agent.cameras.simulated.linescan import LinescanSimCamera
from agent.cameras.supervisor import Ring, Supervisor
from agent.cameras.video.stream import StreamCamera, is_live
from agent.cameras.video.video import VideoFileCamera
from agent.cameras.watched_folder import WatchedFolderCamera
from agent.clock import Clock
from agent.messages import Item
from agent.settings import camera as camera_settings
from agent.settings.camera import (
    FolderSource,
    GenicamSource,
    HarvestersSource,
    LinescanSimSource,
    Source,
    VideoSource,
)
from agent.track.track import make_track

MakeCamera: TypeAlias = Callable[[str, Source, Clock], Callable[[], Camera]]  # one for each connection

OPEN_S = 20.0  # a driver that needs longer hangs; sources with a timeout of their own have it on top


def make_camera(name: str, source: Source, clock: Clock) -> Camera:
    """The camera for a source, not yet open; raises CameraError where a line sensor has no images."""
    match source:
        case FolderSource(watch=True):
            return WatchedFolderCamera(name, source, clock, Arrivals())
        case FolderSource():
            return FolderCamera(name, source, clock)
        case VideoSource() if is_live(source.url):
            return StreamCamera(name, source, clock)
        case VideoSource():
            return VideoFileCamera(name, source, clock)
        case LinescanSimSource():
            return LinescanSimCamera(name, list_images(source.path), source, clock)
        case GenicamSource():
            return GenicamCamera(name, source, clock)
        case HarvestersSource():
            return HarvestersCamera(name, source, clock)


def connections(name: str, source: Source, clock: Clock) -> Callable[[], Camera]:
    """A fresh camera for each connection; lines that are counted and files that were given go on."""
    if isinstance(source, GenicamSource):
        books = Books()
        return lambda: GenicamCamera(name, source, clock, books)
    if isinstance(source, FolderSource) and source.watch:
        arrivals = Arrivals()
        return lambda: WatchedFolderCamera(name, source, clock, arrivals)
    return lambda: make_camera(name, source, clock)


def make_supervisor(
    wanted: camera_settings.Camera,
    ring: Ring,
    clock: Clock,
    say: Callable[[str, CameraState, str], None],
    make: MakeCamera = connections,
    why_disabled: Callable[[str], str | None] = lambda name: None,
    hear: Callable[[Item], None] = lambda item: None,
) -> Supervisor:
    """Of one camera, which fills `ring`; `say` is told its name, its state and why, from now on.

    `why_disabled` says of a camera why people want it closed; `hear` is told of what it gives.
    """

    def report(state: CameraState, detail: str) -> None:
        say(wanted.name, state, detail)

    report("closed", "")
    return Supervisor(
        name=wanted.name,
        make=make(wanted.name, wanted.source, clock),
        make_track=lambda: make_track(wanted),
        life=Life(patience(wanted), random.Random()),
        ring=ring,
        clock=clock,
        report=report,
        why_disabled=lambda: why_disabled(wanted.name),
        hear=hear,
    )


def anew(
    before: camera_settings.Camera,
    wanted: camera_settings.Camera,
    clock: Clock,
    make: MakeCamera,
) -> Anew:
    """How it is opened by other settings while it runs."""
    is_same = wanted.source == before.source
    return Anew(
        make=None if is_same else make(wanted.name, wanted.source, clock),
        make_track=lambda: make_track(wanted),
        patience=patience(wanted),
    )


def is_alike(before: Source, wanted: Source) -> bool:
    """Whether ring and records treat both in one way; else another run is needed."""
    return can_wait(before) == can_wait(wanted) and is_simulated(before) == is_simulated(wanted)


def patience(wanted: camera_settings.Camera) -> Patience:
    """How long a camera may be silent before it counts as stalled.

    For ever where files are replayed, where triggers are waited for, and where the settings say so.
    """
    source = wanted.source
    replayed = can_wait(source) or isinstance(source, LinescanSimSource)
    triggered = any(
        feature.name == "TriggerMode" and feature.value == "On" for feature in getattr(source, "features", ())
    )
    silence_s = wanted.silence_timeout_s
    if silence_s == 0 or (silence_s is None and (replayed or triggered)):
        silence_s = math.inf
    open_s = OPEN_S + getattr(source, "open_timeout_s", 0.0)
    return Patience(open_s=open_s, silence_s=silence_s)


def can_wait(source: Source) -> bool:
    """Whether the next picture is still there later; a simulated belt runs on as a real one does."""
    return isinstance(source, FolderSource) or (isinstance(source, VideoSource) and not is_live(source.url))


def is_simulated(source: Source) -> bool:
    """Whether its pictures were taken another time: files are shown again, a simulated belt passes.

    A watched folder is a camera that hands its pictures over as files, while the parts pass.
    """
    match source:
        case FolderSource():
            return not source.watch
        case VideoSource():
            return not is_live(source.url)
        case _:
            return isinstance(source, LinescanSimSource)


def simulated(cameras: Iterable[camera_settings.Camera]) -> frozenset[str]:
    """The names of those whose records are never to be booked."""
    return frozenset(camera.name for camera in cameras if is_simulated(camera.source))
