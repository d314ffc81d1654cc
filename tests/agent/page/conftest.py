"""Passwords whose checks cost nothing, for whoever signs in dozens of times."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.page.sessions import passwords

TRUE_COST = passwords.COST


@pytest.fixture(scope="module")
def cheap_passwords() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "COST", 2)
        yield


@pytest.fixture
def dear_passwords(cheap_passwords: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are: for what is said of the time that a check takes."""
    monkeypatch.setattr(passwords, "COST", TRUE_COST)
