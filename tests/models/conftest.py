from __future__ import annotations

import pytest

from tests.models.workshop import Workshop, make


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """One teacher, student and signed bundle for all tests that look at them."""
    return make(tmp_path_factory.mktemp("workshop"))
