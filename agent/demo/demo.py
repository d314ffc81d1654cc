"""`plumbline demo`: the whole product on one machine, on real solar cells.

An embedded broker, a simulated line camera that scrolls cells which training never saw (in this process,
or as a GigE Vision camera on the loopback), the agent with the sample model, the page, and an independent
subscriber that checks what arrives.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.app import build
from agent.cameras.make import make_camera
from agent.cameras.simulated.linescan import LinescanSimCamera
from agent.clock import Clock
from agent.contract.chain import parted
from agent.contract.verdict import Verdict
from agent.crew import Crew
from agent.demo.broker import EmbeddedBroker
from agent.demo.cells import Cell, load_cells
from agent.demo.gige import GigeBelt
from agent.running import App
from agent.settings import camera as camera_settings
from agent.settings import settings
from agent.settings import web as web_settings

SAMPLE_BUNDLE = Path(__file__).resolve().parents[2] / "models" / "bundles" / "elpv"
CELL_LINES = 300
GOOD_PER_DEFECTIVE = 4  # a line makes mostly good parts
LINE_RATE_HZ = 3000.0  # ten cells a second
BLOCK_LINES = 128  # not a divisor of a cell: blocks are cut anywhere, windows are not
SEED = 7


@dataclass(slots=True)
class Heard:
    """What the independent subscriber received."""

    verdicts: int = 0
    crops: int = 0
    gaps: int = 0
    rejected: dict[int, bool] = field(default_factory=dict)  # first line of a judged cell: was it a fail
    _next: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, topic: str, payload: bytes) -> None:
        """One message, in the order of arrival."""
        kind = topic.split("/")[6]
        with self._lock:
            if kind == "crop":
                self.crops += 1
            elif kind == "verdict":
                self._take_verdict(json.loads(parted(payload)[0]))

    def _take_verdict(self, verdict: dict[str, object]) -> None:
        message = Verdict.model_validate(verdict)
        self.verdicts += 1
        if self._next is not None and message.sequence != self._next:
            self.gaps += 1
        self._next = message.sequence + 1
        if message.verdict in ("pass", "fail"):
            self.rejected[message.frame.first_line] = message.verdict == "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """How the verdicts compare with the experts, over the cells that were judged."""

    defective: int
    defective_rejected: int
    good: int
    good_rejected: int


@dataclass(slots=True)
class Demo:
    """The parts of a demo: broker and subscriber are up, `run` does the rest and ends them."""

    app: App
    logs: settings.Logs
    broker: EmbeddedBroker
    belt: LinescanSimCamera | GigeBelt  # knows which picture is where
    heard: Heard
    defective: frozenset[Path]
    subscriber: paho.Client
    folder: tempfile.TemporaryDirectory[str]

    def run(self, duration_s: float | None) -> None:
        try:
            self.app.run(duration_s)
        finally:
            self.subscriber.disconnect()
            self.subscriber.loop_stop()
            if isinstance(self.belt, GigeBelt):
                self.belt.stop()
            self.broker.stop()
            self.folder.cleanup()

    def truth(self) -> Truth:
        judged = [
            (self.belt.image_at(line) in self.defective, failed)
            for line, failed in self.heard.rejected.items()
        ]
        return Truth(
            defective=sum(bad for bad, _ in judged),
            defective_rejected=sum(bad and failed for bad, failed in judged),
            good=sum(not bad for bad, _ in judged),
            good_rejected=sum(not bad and failed for bad, failed in judged),
        )


def build_demo(*, page_port: int, bundle: Path, over_gige: bool, clock: Clock, crew: Crew) -> Demo:
    """Everything but the running; broker and subscriber are up.

    Raises a PlumblineError naming what is missing or taken.
    """
    cells = choose_cells(load_cells())
    broker = EmbeddedBroker()
    broker.start()
    folder = tempfile.TemporaryDirectory(prefix="plumbline-demo-")
    images = [cell.image for cell in cells]
    belt: LinescanSimCamera | GigeBelt | None = None
    try:
        source: camera_settings.Source
        if over_gige:
            belt = GigeBelt(images, image_lines=CELL_LINES, line_rate_hz=LINE_RATE_HZ, height=BLOCK_LINES)
            belt.start(Path(folder.name))
            source = belt.source()
        else:
            source = camera_settings.LinescanSimSource(
                path=images[0].parent, line_rate_hz=LINE_RATE_HZ, height=BLOCK_LINES, jitter=0.1
            )
            belt = LinescanSimCamera("top", images, source, clock)
        wanted = demo_settings(
            bundle=bundle,
            outbox=Path(folder.name) / "outbox.sqlite3",
            broker_port=broker.port,
            page_port=page_port,
            source=source,
        )
        camera = make_camera("top", source, clock) if isinstance(belt, GigeBelt) else belt
        app = build(wanted, clock, crew, make=lambda *_: lambda: camera)
        heard = Heard()
        return Demo(
            app=app,
            logs=wanted.logs,
            broker=broker,
            belt=belt,
            heard=heard,
            defective=frozenset(cell.image for cell in cells if cell.split == "test/defective"),
            subscriber=_subscribe(broker.port, heard),
            folder=folder,
        )
    except BaseException:
        if isinstance(belt, GigeBelt):
            belt.stop()
        broker.stop()
        folder.cleanup()
        raise


def choose_cells(cells: Sequence[Cell], seed: int = SEED) -> list[Cell]:
    """Held-back cells in a random order, GOOD_PER_DEFECTIVE good ones for each defective one."""
    rng = np.random.default_rng(seed)
    good = [cell for cell in cells if cell.split == "test/good"]
    bad = [cell for cell in cells if cell.split == "test/defective"]
    picked = [bad[i] for i in rng.choice(len(bad), len(good) // GOOD_PER_DEFECTIVE, replace=False)]
    mixed = good + picked
    return [mixed[i] for i in rng.permutation(len(mixed))]


def demo_settings(
    *, bundle: Path, outbox: Path, broker_port: int, page_port: int, source: camera_settings.Source
) -> settings.Settings:
    """The demo's settings, as a settings file would say them."""
    return settings.Settings(
        identity=settings.Identity(site="demo", area="cells", line="line1", station="demo-top"),
        bundle=bundle,
        cameras=(
            camera_settings.Camera(
                name="top",
                source=source,
                web=web_settings.Web(window_lines=CELL_LINES),
            ),
        ),
        outbox=settings.Outbox(path=outbox, min_free_bytes=0),
        mqtt=settings.Mqtt(port=broker_port),
        page=settings.Page(port=page_port),
        logs=settings.Logs(level="warning", format="console"),
    )


def _subscribe(port: int, heard: Heard) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="demo-mes", protocol=paho.MQTTv5)
    client.on_connect = lambda one, *_: one.subscribe("plumbline/v1/#", qos=1)
    client.on_message = lambda _client, _data, message: heard.take(message.topic, bytes(message.payload))
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client
