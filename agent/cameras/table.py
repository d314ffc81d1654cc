"""Which camera a source setting means."""

from __future__ import annotations

from agent.camera_settings import FolderSource, GenicamSource, LinescanSimSource, Source, VideoSource
from agent.cameras.camera import Camera
from agent.cameras.folder import FolderCamera
from agent.cameras.genicam.camera import GenicamCamera
from agent.cameras.images import list_images
from agent.cameras.linescan_sim import LinescanSimCamera
from agent.cameras.stream import StreamCamera, is_live
from agent.cameras.video import VideoFileCamera
from agent.clock import Clock


def make_camera(name: str, source: Source, clock: Clock) -> Camera:
    """The camera for a source, not yet open; raises CameraError where a line sensor has no images."""
    match source:
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
