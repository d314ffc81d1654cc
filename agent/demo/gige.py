"""The demo's line camera as a GigE Vision camera: the repository's simulator, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.cameras.camera import CameraError
from agent.settings.camera import FeatureWrite, GenicamSource

REPOSITORY = Path(__file__).resolve().parents[2]
PACKET_BYTES = 9000


class GigeBelt:
    """Pictures of one height that scroll past a simulated GigE Vision camera for ever."""

    def __init__(self, images: Sequence[Path], *, image_lines: int, line_rate_hz: float, height: int) -> None:
        pid = os.getpid()
        # GigE Vision has one port, so two demos at a time need two addresses.
        self.address = f"127.100.{pid >> 8 & 255}.{pid & 255}"
        self._images = images
        self._image_lines = image_lines
        self._line_rate_hz = line_rate_hz
        self._height = height
        self._process: subprocess.Popen[str] | None = None

    def start(self, folder: Path) -> None:
        """Run the simulator, its list of pictures in `folder`; raises CameraError where there is none."""
        if not (REPOSITORY / "tests" / "gige").is_dir():
            raise CameraError(
                "demo --camera gige: the simulated camera is part of the repository, not of the installed"
                " package; run it there, as make demo CAMERA=gige does"
            )
        listed = folder / "images.txt"
        listed.write_text("\n".join(map(str, self._images)))
        self._process = subprocess.Popen(  # noqa: S603, our own interpreter with our own arguments
            [
                *(sys.executable, "-m", "tests.gige", "--address", self.address, "--images", str(listed)),
                *("--line-rate-hz", str(self._line_rate_hz), "--height", str(self._height)),
            ],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the demo, which ends the camera by the end of its input
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise CameraError(f"the simulated camera at {self.address} did not start; its error stands above")

    def stop(self) -> None:
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def source(self) -> GenicamSource:
        """How the agent gets at it."""
        return GenicamSource(
            address=self.address,
            scan="line",
            features=(FeatureWrite(name="ChunkModeActive", value=True),),
            packet_size=PACKET_BYTES,
            line_counter_chunk="ChunkCounterValue",
            encoder_chunk="ChunkEncoderValue",
            line_status_chunk="ChunkLineStatusAll",
        )

    def image_at(self, line: int) -> Path:
        """The picture under an absolute line."""
        return self._images[line // self._image_lines % len(self._images)]
