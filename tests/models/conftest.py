from __future__ import annotations

import warnings

import pytest

from tests.models.workshop import Workshop, make


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """One teacher, student and signed bundle for all tests that look at them."""
    with warnings.catch_warnings():
        # The exporter's own dependencies warn of their future, whichever test asks for this first.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return make(tmp_path_factory.mktemp("workshop"))
