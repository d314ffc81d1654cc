"""What looks at settings may hang or die: it is ended, and says what it was at."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from agent.doctor import references
from agent.remote.settings.apart import HungError, Look, Order, looked
from agent.settings.settings import Mqtt, Outbox, Page, Settings
from agent.settings.shape import Keys

Touched = Callable[[Keys], bool]
KEYS: tuple[Keys, ...] = (("mqtt", "password_file"),)


def hangs(wanted: Settings, touched: Touched) -> Iterable[tuple[Keys, str]]:
    if touched(("outbox", "path")):
        yield ("outbox", "path"), "was not changed"
    if touched(("mqtt", "password_file")):
        time.sleep(600)


def dies(wanted: Settings, touched: Touched) -> Iterable[tuple[Keys, str]]:
    yield ("page",), "one"
    touched(("mqtt", "password_file"))
    os.kill(os.getpid(), signal.SIGKILL)


def raises(wanted: Settings, touched: Touched) -> Iterable[tuple[Keys, str]]:
    raise RuntimeError("scripted")
    yield


def nothing(wanted: Settings, touched: Touched) -> Iterable[tuple[Keys, str]]:
    return ()


def order(
    look: Look, *, wanted: Settings | None = None, keys: tuple[Keys, ...] = KEYS, client: str | None = None
) -> Order:
    return Order(look=look, wanted=wanted or Settings(), before=Mqtt(), keys=keys, client_id=client)


def test_what_hangs_is_ended_and_named() -> None:
    with pytest.raises(HungError, match=r"longer than 3 s at mqtt\.password_file, and was ended"):
        looked(order(hangs), timeout_s=3)


def test_what_dies_says_what_it_had_found_and_where_it_was() -> None:
    first, second = looked(order(dies))
    assert (first.path, first.message) == ("page", "one")
    assert "died at mqtt.password_file" in second.message


def test_what_raises_is_a_flaw() -> None:
    assert [one.message for one in looked(order(raises))] == ["RuntimeError: scripted"]


def test_it_looks_as_the_doctor_does_and_at_what_was_changed_alone(tmp_path: Path) -> None:
    wanted = Settings(
        bundle=tmp_path / "nowhere",
        mqtt=Mqtt(username="me", password_file=tmp_path / "none"),
        outbox=Outbox(path=tmp_path / "outbox.sqlite3"),
        page=Page(enabled=False),
    )
    found = looked(order(references.problems, wanted=wanted))
    assert [one.path for one in found] == ["mqtt.password_file"]


def test_a_broker_that_never_answers_is_told_and_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        wanted = Settings(mqtt=Mqtt(port=silent.getsockname()[1]))
        with pytest.raises(HungError, match="at mqtt, and was ended"):
            looked(order(nothing, wanted=wanted, client="other"), timeout_s=3)
