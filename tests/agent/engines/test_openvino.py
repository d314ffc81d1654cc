"""OpenVINO leaves the process as it found it."""

from __future__ import annotations

from dataclasses import replace

from agent.bundle.bundle import open_bundle
from agent.demo.demo import SAMPLE_BUNDLE
from agent.engines.openvino import may_reduce
from tests.agent.cli.calling import process

SIGNALLED = """
import os, signal, sys, threading
from agent.bundle.bundle import open_bundle
from agent.demo.demo import SAMPLE_BUNDLE
from agent.engines.openvino import open_openvino
bundle = open_bundle(SAMPLE_BUNDLE)
first = [open_openvino(bundle)]
opening = threading.Thread(target=lambda: first.append(open_openvino(bundle)))
opening.start()
opening.join()
def close():
    first.pop(0).close()
closing = threading.Thread(target=close)
closing.start()
closing.join()
signal.signal(signal.SIGTERM, lambda *_: print("heard", flush=True))
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_an_engine_that_another_thread_closes_leaves_the_first_one_able_to_hear_signals() -> None:
    done = process("-X", "faulthandler", "-c", SIGNALLED)
    assert (done.code, done.out) == (0, "heard\n"), done.err


def test_a_cpu_takes_of_itself_only_what_the_bundle_was_calibrated_in() -> None:
    sample = open_bundle(SAMPLE_BUNDLE)
    of = {
        name: replace(sample, manifest=sample.manifest.model_copy(update={"variants": variants}))
        for name, variants in (("nobody knows", None), ("f32", {}), ("bf16", {"bf16": None}))
    }
    may = {name: [may_reduce(one, caps) for caps in (["FP32"], ["FP32", "BF16"])] for name, one in of.items()}
    assert may == {"nobody knows": [True, True], "f32": [True, False], "bf16": [True, True]}
    assert not may_reduce(of["bf16"], ["FP32", "FP16"]), "an ARM that takes f16"
