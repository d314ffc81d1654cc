from __future__ import annotations

import pytest

from agent.bundle.bundle import Bundle, open_bundle
from tests.models.workshop import Workshop


@pytest.fixture(scope="module")
def bundle(made: Workshop) -> Bundle:
    return open_bundle(made.bundle)
