"""A second connection never costs a station its first one."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from agent.remote.settings.preflight import may_be_ourselves, reached
from agent.settings.settings import Mqtt


@pytest.mark.parametrize(
    ("before", "wanted", "is_so"),
    [
        (Mqtt(username="cell"), Mqtt(username="cell", host="localhost"), True),
        (Mqtt(username="cell"), Mqtt(username="cell", port=8883), True),
        (Mqtt(username="cell"), Mqtt(username="cell", host="10.9.9.9"), False),
        (Mqtt(username="cell"), Mqtt(username="other"), False),
        (Mqtt(), Mqtt(port=1884), False),
    ],
)
def test_the_same_login_at_what_may_be_the_same_broker_is_known(
    before: Mqtt, wanted: Mqtt, is_so: bool
) -> None:
    assert may_be_ourselves(before, wanted) is is_so


def test_a_broker_is_reached_and_nothing_is_sent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker:
        port = broker.getsockname()[1]
        assert reached(Mqtt(port=port)) is None
        there, _ = broker.accept()
        with there:
            assert there.recv(10) == b""
    assert "connection refused" in (reached(Mqtt(port=port)) or "")
    missing = Mqtt(port=port, tls=True, ca_file=tmp_path / "none.pem")
    assert reached(missing) is not None
