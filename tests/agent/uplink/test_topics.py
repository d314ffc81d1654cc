"""Topic names are the contract's, fit every broker, and no id can break out of its level."""

from __future__ import annotations

import pytest

from agent.uplink.topics import TOPICS, Topics

STATION = Topics(site="plant1", area="press", line="l-2", station="cell3-cam1")


def test_names_are_the_contracts() -> None:
    prefix = "plumbline/v1/plant1/press/l-2/cell3-cam1"
    assert STATION.prefix == prefix
    assert STATION.verdict("top") == f"{prefix}/verdict/top"
    assert STATION.crop("top") == f"{prefix}/crop/top"
    assert STATION.crop_header("top") == f"{prefix}/crop_header/top"
    assert (STATION.event(), STATION.status(), STATION.metrics()) == (
        f"{prefix}/event",
        f"{prefix}/status",
        f"{prefix}/metrics",
    )
    assert (STATION.cmd("ping"), STATION.rsp("ping")) == (f"{prefix}/cmd/ping", f"{prefix}/rsp/ping")


def test_no_name_has_more_than_seven_slashes() -> None:
    names = [STATION.verdict("top"), STATION.crop("top"), STATION.crop_header("top"), STATION.event()]
    assert max(name.count("/") for name in names) == 7


def test_only_the_status_is_retained_and_only_metrics_may_be_lost() -> None:
    assert [name for name, delivery in TOPICS.items() if delivery.retain] == ["status"]
    assert [name for name, delivery in TOPICS.items() if delivery.qos == 0] == ["metrics"]


@pytest.mark.parametrize("bad", ["", "a/b", "#", "+", "A", "ä", "a b", "x" * 65, "line\n"])
def test_an_id_that_cannot_stand_in_a_topic_is_refused_by_name_and_value(bad: str) -> None:
    with pytest.raises(ValueError, match="line: "):
        Topics(site="s", area="a", line=bad, station="st")
    with pytest.raises(ValueError, match="camera: "):
        STATION.verdict(bad)
