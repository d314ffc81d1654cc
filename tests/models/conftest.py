from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from models.stages import SILENT
from tests.models.workshop import Workshop, made_once
from tests.rooms import SHARED

torch.set_num_threads(1)  # nets so small wait for each other's threads longer than they compute

TRAINED = {"made", "both"}  # fixtures that train: whoever asks for them first waits for it


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever looks at a trained model is slow."""
    for item in items:
        if TRAINED & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(900))  # whoever comes first trains, maybe beside eight others


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """One teacher, student and signed bundle for all tests that look at them, in whichever room."""
    with warnings.catch_warnings():
        # The exporter's own dependencies warn of their future, whichever test asks for this first.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return made_once(Path(os.environ.get(SHARED) or tmp_path_factory.mktemp("workshop")))


@pytest.fixture(scope="session")
def built_yardsticks() -> dict[str, Any]:
    """Those of this room by what they were built of."""
    return {}


@pytest.fixture(scope="module")
def yardsticks(built_yardsticks: dict[str, Any]) -> Iterator[None]:
    """Each memory of good parts is built once for a room; equal arguments give equal bits (yardstick)."""
    from models.judging import yardstick  # it imports much that most rooms do without

    build = yardstick.build

    def once(kept: Any, held: Any, spec: Any, seed: int = 0, stages: Any = SILENT) -> yardstick.Built:
        key = repr((kept, held, spec, seed, yardstick.KEPT, yardstick.PAIRS))
        if key not in built_yardsticks:
            built_yardsticks[key] = build(kept, held, spec, seed, stages)
        found: yardstick.Built = built_yardsticks[key]
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "build", once)
        yield
