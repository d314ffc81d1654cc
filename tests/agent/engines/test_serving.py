"""An agent is served from its first frame on, gets better engines without stopping, and survives bad ones."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from agent.bundle.bundle import open_bundle
from agent.clock import ManualClock
from agent.contract.verdict import Verdict
from agent.engines.apart import Order, compile_apart
from agent.engines.cache import EngineCache, NotCompiled
from agent.engines.choice import Machine
from agent.engines.engine import DeviceLost, Engine, EngineError, OutOfMemory
from agent.engines.open import open_runtime
from agent.engines.serving import Candidate, Serving, make_serving
from agent.engines.switch import Switch
from agent.engines.table import RUNTIMES, Runtime
from agent.line.capture import Capture
from agent.line.line import Line
from agent.settings import settings
from tests.agent.engines.small_bundle import small_tiles, write_small
from tests.agent.line.recipes import recipe
from tests.agent.line.records import desk
from tests.fakes import FakeEngine, frame, good_picture

TILES = good_picture()[None]
DEADLINE_S = 60.0
OPENVINO = next(kind for kind in RUNTIMES if kind.kind == "openvino")


@dataclass(slots=True)
class Script:
    """A candidate that does as it is told; `opened` are the engines that it gave."""

    name: str
    ready: bool = True
    open_errors: deque[Exception] = field(default_factory=deque)
    compile_error: Exception | None = None
    go: threading.Event = field(default_factory=threading.Event)  # compiling waits for it
    opened: list[FakeEngine] = field(default_factory=list)

    def candidate(self) -> Candidate:
        return Candidate(name=self.name, is_ready=lambda: self.ready, open=self._open, compile=self._compile)

    def _open(self) -> Engine:
        if self.open_errors:
            raise self.open_errors.popleft()
        engine = FakeEngine(name=self.name)
        self.opened.append(engine)
        return engine

    def _compile(self, say: Callable[[str], None], stop: threading.Event) -> None:
        while not self.go.wait(0.01):
            if stop.is_set():
                raise EngineError("interrupted")
        if self.compile_error is not None:
            raise self.compile_error


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.005)


@contextmanager
def lived_in(*scripts: Script, problems: tuple[str, ...] = ()) -> Iterator[tuple[Serving, Switch]]:
    """With its thread, after its first engine was opened."""
    switch = Switch()
    serving = Serving([one.candidate() for one in scripts], switch, problems=problems)
    serving.open_first()
    stop = threading.Event()
    thread = threading.Thread(target=serving.run, args=(stop,))
    thread.start()
    try:
        yield serving, switch
    finally:
        stop.set()
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
        switch.close()


def test_the_quick_engine_serves_and_says_so_while_the_better_one_is_compiled() -> None:
    slow, quick = Script("tensorrt", ready=False), Script("openvino")
    with lived_in(slow, quick) as (serving, switch):
        assert switch.run(TILES).engine == "openvino"
        until(lambda: serving.words() == ("Building engine tensorrt; meanwhile openvino serves",))
        slow.go.set()
        until(lambda: switch.describe().name == "tensorrt")
        until(lambda: serving.words() == ())
        assert switch.run(TILES).engine == "tensorrt"
        assert quick.opened[0].closed
        assert serving.failed == {}


def test_an_engine_that_does_not_compile_is_named_with_the_reason_and_left_alone() -> None:
    slow = Script("tensorrt", ready=False, compile_error=EngineError("Unique is not known; export again"))
    slow.go.set()
    with lived_in(slow, Script("openvino")) as (serving, switch):
        until(lambda: serving.failed == {"tensorrt": 1})
        expected = (
            "Engine tensorrt does not serve: Unique is not known; export again; instead openvino serves"
        )
        until(lambda: serving.words() == (expected,))
        assert switch.run(TILES).engine == "openvino"


def test_a_lost_gpu_hands_over_to_the_next_engine_and_its_frame_is_told() -> None:
    gpu, cpu = Script("tensorrt"), Script("openvino")
    with lived_in(gpu, cpu) as (serving, switch):
        gpu.opened[0].failures.append(DeviceLost("GPU: fell off the bus"))
        with pytest.raises(DeviceLost):
            switch.run(TILES)
        until(lambda: switch.describe().name == "openvino")
        assert switch.run(TILES).engine == "openvino"
        assert gpu.opened[0].closed
        until(lambda: len(serving.words()) == 1)
        assert "tensorrt lost its device: GPU: fell off the bus; restart the agent" in serving.words()[0]
        assert serving.failed == {"tensorrt": 1}


def test_an_engine_that_fails_while_a_better_one_is_compiled_is_replaced_at_once() -> None:
    slow, first, second = Script("tensorrt", ready=False), Script("eager-cuda"), Script("openvino")
    with lived_in(slow, first, second) as (serving, switch):
        until(lambda: any("Building" in line for line in serving.words()))
        first.opened[0].failures += [OutOfMemory("full"), OutOfMemory("full")]
        for _ in range(2):
            with pytest.raises(OutOfMemory):
                switch.run(TILES)
        until(lambda: switch.describe().name == "openvino")
        slow.go.set()
        until(lambda: switch.describe().name == "tensorrt")


def test_a_first_engine_that_cannot_be_opened_gives_way_to_the_next() -> None:
    bad = Script("openvino", open_errors=deque([EngineError("golden scores differ; use another engine")]))
    with lived_in(bad, Script("onnxruntime")) as (serving, switch):
        assert switch.run(TILES).engine == "onnxruntime"
        assert "golden scores differ" in serving.words()[0]


def test_what_a_runtime_raises_of_its_own_ends_neither_start_nor_agent() -> None:
    bad = Script("eager-cuda", open_errors=deque([RuntimeError("no kernel image for this GPU")]))
    slow = Script("tensorrt", ready=False, compile_error=MemoryError())
    slow.go.set()
    with lived_in(slow, bad, Script("openvino")) as (serving, switch):
        until(lambda: serving.failed == {"eager-cuda": 1, "tensorrt": 1})
        assert switch.run(TILES).engine == "openvino"
        words = " ".join(serving.words())
        assert "eager-cuda does not serve: RuntimeError: no kernel image" in words
        assert "tensorrt does not serve: MemoryError" in words


def test_with_no_engine_at_all_the_start_fails_with_every_reason() -> None:
    scripts = [Script(name, open_errors=deque([EngineError(f"no {name}")])) for name in ("one", "two")]
    serving = Serving([one.candidate() for one in scripts], Switch(), problems=("GPU: broken",))
    with pytest.raises(EngineError, match="GPU: broken; one: no one; two: no two"):
        serving.open_first()


def test_a_compiled_engine_that_is_refused_again_and_again_is_given_up() -> None:
    refused = deque([NotCompiled("refused"), NotCompiled("refused")])
    slow = Script("tensorrt", ready=False, open_errors=refused)
    slow.go.set()
    with lived_in(slow, Script("openvino")) as (serving, switch):
        until(lambda: serving.failed == {"tensorrt": 1})
        assert switch.describe().name == "openvino"


def test_a_start_does_not_hang_on_a_cache_that_keeps_what_cannot_be_loaded() -> None:
    stubborn = Script("tensorrt", open_errors=deque(NotCompiled("refused") for _ in range(9)))
    with lived_in(stubborn, Script("openvino")) as (serving, switch):
        assert switch.describe().name == "openvino"
        assert serving.failed == {"tensorrt": 1}


def test_problems_of_the_machine_are_said_for_as_long_as_the_agent_runs() -> None:
    with lived_in(Script("openvino"), problems=("GPU: cuInit failed with 803",)) as (serving, switch):
        assert switch.run(TILES).engine == "openvino"
        assert serving.words() == ("GPU: cuInit failed with 803",)


def test_frames_of_a_lost_engine_are_undecided_and_every_record_names_its_engine(tmp_path: Path) -> None:
    gpu, cpu = Script("tensorrt"), Script("openvino")
    with desk(tmp_path / "outbox.sqlite3") as records, lived_in(gpu, cpu) as (_, switch):
        capture = Capture("accountable", 64)
        line = Line(
            camera="top",
            capture=capture,
            recipe=recipe(switch),
            publisher=records.publisher,
            clock=ManualClock(),
        )

        def judged(number: int) -> Verdict:
            capture.put(frame(number, good_picture()))
            verdict = line.step()
            assert verdict is not None
            return verdict

        before = judged(0)
        gpu.opened[0].failures.append(DeviceLost("GPU: Xid 79; restart the agent"))
        lost = judged(1)
        until(lambda: switch.describe().name == "openvino")
        after = judged(2)
        records.settle()
    assert (before.verdict, before.model.engine) == ("pass", "tensorrt")
    assert (lost.verdict, lost.reason) == ("undecided", "engine_error")
    assert lost.detail is not None and "Xid 79" in lost.detail
    assert (after.verdict, after.model.engine) == ("pass", "openvino")


def order(tmp_path: Path, kind: Runtime = OPENVINO) -> Order:
    bundle = open_bundle(write_small(tmp_path / "small"))
    return Order(
        kind=kind,
        bundle=bundle.path,
        bundle_sha256=bundle.sha256,
        wanted=settings.Engine(precision="f32", threads=1),
        folder=tmp_path / "engines",
        max_bytes=100_000_000,
        gpu=None,
    )


def test_an_engine_compiled_in_another_process_is_found_in_the_cache_here(tmp_path: Path) -> None:
    from agent.engines.openvino import open_openvino

    made = order(tmp_path)
    compile_apart(made, lambda line: None, threading.Event())
    cache = EngineCache(made.folder, made.max_bytes)
    assert len(cache.entries()) == 1
    engine = open_openvino(open_bundle(made.bundle), precision="f32", threads=1, cache=cache)
    assert engine.describe().from_cache


def test_an_exchanged_bundle_and_a_full_cache_are_told_by_the_other_process(tmp_path: Path) -> None:
    made = order(tmp_path)
    with pytest.raises(EngineError, match="was exchanged meanwhile"):
        compile_apart(replace(made, bundle_sha256="0" * 64), lambda line: None, threading.Event())
    with pytest.raises(EngineError, match=r"engine\.cache_max_bytes"):
        compile_apart(replace(made, max_bytes=10), lambda line: None, threading.Event())


def test_a_process_that_is_killed_while_it_compiles_is_told_from_one_that_failed(tmp_path: Path) -> None:
    made, told = order(tmp_path), []

    def work() -> None:
        try:
            compile_apart(made, lambda line: None, threading.Event())
        except EngineError as error:
            told.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: bool(multiprocessing.active_children()))
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)  # as the kernel does without memory
    thread.join(DEADLINE_S)
    assert "exit code -9; -9 is mostly lack of memory: lower engine.workspace_bytes" in told[0]
    assert not made.folder.exists()


def test_a_stop_ends_the_other_process(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    started = time.monotonic()
    with pytest.raises(EngineError, match="was interrupted: the agent stops"):
        compile_apart(order(tmp_path), lambda line: None, stop)
    assert time.monotonic() - started < DEADLINE_S


def test_openvino_is_compiled_beside_onnxruntime_and_takes_over_under_a_running_line(tmp_path: Path) -> None:
    """The real thing on a CPU: two runtimes, another process, the cache on disk, the golden scores."""
    pytest.importorskip("onnxruntime")
    made = order(tmp_path)
    bundle = open_bundle(made.bundle)
    cache = EngineCache(made.folder, made.max_bytes)
    switch, stop = Switch(), threading.Event()

    def open_here(name: str) -> Engine:
        kind = next(kind for kind in RUNTIMES if kind.kind == name)
        return open_runtime(kind, bundle, made.wanted, cache, None)

    slow = Candidate(
        name="openvino",
        is_ready=lambda: bool(cache.entries()),
        open=lambda: open_here("openvino"),
        compile=lambda say, stop: compile_apart(made, say, stop),
    )
    quick = Candidate(
        name="onnxruntime",
        is_ready=lambda: True,
        open=lambda: open_here("onnxruntime"),
        compile=lambda say, stop: None,
    )
    serving = Serving([slow, quick], switch)
    serving.open_first()
    seen: list[str] = []
    tiles = small_tiles(5)
    first = switch.run(tiles)
    assert first.engine == "onnxruntime-f32"
    thread = threading.Thread(target=serving.run, args=(stop,))
    thread.start()
    try:
        until(lambda: bool(seen.append(switch.run(tiles).engine) or seen[-1] == "openvino-f32"))
        assert np.allclose(switch.run(tiles).scores, first.scores, atol=1e-6)
        assert switch.describe().from_cache
        assert set(seen) == {"onnxruntime-f32", "openvino-f32"}
    finally:
        stop.set()
        thread.join(DEADLINE_S)
        switch.close()


def test_the_room_of_a_default_install_serves_openvino_and_keeps_it_in_the_cache(tmp_path: Path) -> None:
    machine = Machine(gpu=None, gpu_problem=None, modules=frozenset({"openvino"}))
    for from_cache in (False, True):
        switch = Switch()
        serving = make_serving(
            open_bundle(order_bundle(tmp_path)),
            settings.Engine(threads=1),
            machine,
            folder=tmp_path / "engines",
            switch=switch,
        )
        serving.open_first()
        assert switch.describe().from_cache == from_cache
        assert serving.words() == ()
        switch.close()


def order_bundle(tmp_path: Path) -> Path:
    path = tmp_path / "small"
    return path if path.exists() else write_small(path)
