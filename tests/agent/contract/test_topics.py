"""Topic names are the contract's, fit every broker, and no id can break out of its level."""

from __future__ import annotations

import pytest

from agent.contract.topics import TOPICS, Topics, allowed_response_topic

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
    assert STATION.commands() == f"{prefix}/cmd/+"


def test_no_name_has_more_than_seven_slashes() -> None:
    names = [STATION.verdict("top"), STATION.crop("top"), STATION.crop_header("top"), STATION.event()]
    names += [STATION.cmd("ping"), STATION.rsp("ping")]
    assert max(name.count("/") for name in names) == 7


def test_only_what_holds_until_it_is_changed_is_retained_and_little_may_be_lost() -> None:
    retained = [name for name, delivery in TOPICS.items() if delivery.retain]
    assert retained == ["head", "status", "desired", "reported"]
    assert [name for name, delivery in TOPICS.items() if delivery.qos == 0] == [
        "metrics",
        "bundle_get",
        "bundle_data",
    ]


@pytest.mark.parametrize("bad", ["", "a/b", "#", "+", "A", "ä", "a b", "x" * 65, "line\n"])
def test_an_id_that_cannot_stand_in_a_topic_is_refused_by_name_and_value(bad: str) -> None:
    with pytest.raises(ValueError, match="line: "):
        Topics(site="s", area="a", line=bad, station="st")
    with pytest.raises(ValueError, match="camera: "):
        STATION.verdict(bad)


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        (STATION.rsp("ping"), True),
        (f"{STATION.prefix}/rsp/one/more", True),
        ("mes/answers/17", True),
        ("mes/answers", False),  # the prefix itself is not below it
        ("mes/answers2/17", False),
        ("mes/other", False),
        (f"{STATION.prefix}/rsp", False),
        (STATION.verdict("top"), False),  # a prefix covers it: still a forged verdict
        (STATION.status(), False),
        (STATION.cmd("ping"), False),
        ("plumbline/v1/plant1/press/l-2/another/rsp/ping", True),  # by the prefix, not by itself
        ("mes/answers/+", False),
        ("mes/answers/#", False),
        ("mes/answers/\0", False),
        ("mes/answers/\ud800", False),
        ("mes/answers/" + "x" * 1000, True),
        ("mes/answers/" + "x" * 1024, False),
        ("$SYS/broker", False),
        ("", False),
    ],
)
def test_a_response_goes_below_our_own_rsp_or_an_allowed_prefix_and_nowhere_else(
    topic: str, allowed: bool
) -> None:
    assert allowed_response_topic(topic, STATION, ["mes/answers", "plumbline/v1/plant1"]) is allowed


def test_without_prefixes_only_our_own_rsp_is_allowed() -> None:
    assert allowed_response_topic(STATION.rsp("ping"), STATION, [])
    assert not allowed_response_topic("plumbline/v1/plant1/press/l-2/another/rsp/ping", STATION, [])
    assert not allowed_response_topic("mes/answers/17", STATION, [])
