"""A command runs when every rule is kept; what breaks one is refused with its code, and answered."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import rfc3339
from agent.contract.arguments import COMMANDS, MAXIMUM_REPLAY, Ack, Bind, Ping, Replay
from agent.contract.commands import CODES, Accepted, Rejected
from agent.contract.inbound import Inbound
from agent.contract.strict import MAXIMUM_WORD
from agent.remote.commands.admission import MAXIMUM_BYTES, admit, busy
from tests.agent.outbox.rows import TOPICS
from tests.agent.uplink.asking import MES, NOW, RESULT, allowed, command, request


def decided(
    inbound: Inbound, *, now: datetime = NOW, synced: bool | None = True, ran: tuple[str, ...] = ()
) -> Accepted | Rejected:
    return admit(inbound, TOPICS, now=now, clock_synced=synced, seen=ran.__contains__, allowed=allowed)


def args(name: str, **arguments: object) -> Inbound:
    return command(name, request(args=arguments))


@pytest.mark.parametrize(
    ("inbound", "arguments"),
    [
        (args("ping"), Ping()),
        (args("replay", from_sequence=5, to_sequence=5), Replay(from_sequence=5, to_sequence=5)),
        (
            args("replay", from_sequence=1, to_sequence=MAXIMUM_REPLAY),
            Replay(from_sequence=1, to_sequence=MAXIMUM_REPLAY),
        ),
        (args("ack", result_ids=[RESULT] * 500), Ack(result_ids=[RESULT] * 500)),
        (args("bind", part_id="SN 1/ß"), Bind(part_id="SN 1/ß")),
        (args("bind", job_id=None, camera="top"), Bind(job_id=None, camera="top")),
        (
            args("bind", part_id="x" * MAXIMUM_WORD, applies_to="window", timeout_s=3600),
            Bind(part_id="x" * MAXIMUM_WORD, applies_to="window", timeout_s=3600.0),
        ),
        (
            args("bind", part_id="1", applies_to="until_changed"),
            Bind(part_id="1", applies_to="until_changed"),
        ),
    ],
)
def test_a_good_command_is_accepted_with_its_arguments(inbound: Inbound, arguments: object) -> None:
    asked = decided(inbound)
    assert isinstance(asked, Accepted)
    assert asked.command.arguments == arguments
    assert (asked.command.id, asked.command.name) == ("c-1", inbound.topic.rpartition("/")[2])
    assert asked.reply_to == TOPICS.rsp(asked.command.name)


@pytest.mark.parametrize(
    ("inbound", "kind", "why"),
    [
        (command(payload=b"start the line"), "not_json", "Expecting value"),
        (command(payload=b""), "not_json", "Expecting value"),
        (command(payload=request().replace(b"{", b'{"id": "d", ', 1)), "not_json", "twice"),
        (command(payload=b"[" * 60_000), "not_json", "nested deeper"),
        (args("replay", from_sequence=5, to_sequence=2**60), "not_json", "beyond"),
        (args("replay", from_sequence=float("nan"), to_sequence=9), "not_json", "NaN"),
        (command(payload=b" " * (MAXIMUM_BYTES + 1)), "oversized", "at most 65536"),
        (command(topic=f"{TOPICS.prefix}/cmd/reboot"), "unknown", "ping, replay, ack, bind"),
        (command(topic=f"{TOPICS.prefix}/cmd/ping/x"), "unknown", "ping, replay, ack, bind"),
        (command(topic="plumbline/v1/a/b/c/another/cmd/ping"), "unknown", "ping, replay, ack, bind"),
        (command(retained=True), "retained", "publish without retain"),
        (command(response_topic="plumbline/v1/a/b/c/d/cmd/ping"), "foreign_response_topic", "rsp/replay"),
        (command(response_topic=""), "foreign_response_topic", "leave it out"),
        (command(payload=b"[]"), "bad_arguments", "the arguments: "),
        (command(payload=request(schema="plumbline.command/2")), "bad_arguments", "schema: "),
        (command(payload=request(id="")), "bad_arguments", "id: "),
        (command(payload=request(id="x" * 65)), "bad_arguments", "id: "),
        (command(payload=request(id=7)), "bad_arguments", "id: "),
        (command(payload=request(expires=None)), "bad_arguments", "expires: "),
        (command(payload=request(expires=1_800_000_000)), "bad_arguments", "expires: .*give UTC"),
        (command(payload=request(expires="2026-11-24T14:30:00")), "bad_arguments", "give UTC"),
        (command(payload=request(expires="2026-11-24T14:30:00+01:00")), "bad_arguments", "give UTC"),
        (command(payload=request(expires="2026-13-24T14:30:00Z")), "bad_arguments", "expires: "),
        (command(payload=request(more=1)), "bad_arguments", "more: unknown field"),
        (command(payload=request(args=None)), "bad_arguments", "args: "),
        (args("ping", loud=True), "bad_arguments", "loud: unknown field"),
        (args("replay", from_sequence=5), "bad_arguments", "to_sequence: "),
        (args("replay", from_sequence=0, to_sequence=9), "bad_arguments", "from_sequence: "),
        (args("replay", from_sequence=9, to_sequence=8), "bad_arguments", "8 is before from_sequence 9"),
        (args("replay", from_sequence="5", to_sequence=9), "bad_arguments", "from_sequence: "),
        (args("replay", from_sequence=True, to_sequence=9), "bad_arguments", "from_sequence: "),
        (args("replay", from_sequence=1, to_sequence=100_001), "bad_arguments", "more than 100000"),
        (args("ack", result_ids=[]), "bad_arguments", "result_ids: "),
        (args("ack", result_ids=[RESULT] * 501), "bad_arguments", "result_ids: "),
        (args("ack", result_ids=["'; DROP TABLE"]), "bad_arguments", "result_ids.0: "),
        (args("ack", result_ids=RESULT), "bad_arguments", "result_ids: "),
        (args("bind"), "bad_arguments", "give part_id, job_id or product"),
        (args("bind", camera="top"), "bad_arguments", "give part_id, job_id or product"),
        (args("bind", part_id=""), "bad_arguments", "part_id: "),
        (args("bind", part_id=7), "bad_arguments", "part_id: "),
        (args("bind", part_id="x" * (MAXIMUM_WORD + 1)), "bad_arguments", "part_id: "),
        (args("bind", part_id="a\nb"), "bad_arguments", "printable"),
        (args("bind", job_id="a\x1b[2J"), "bad_arguments", "printable"),
        (args("bind", job_id=" a"), "bad_arguments", "no blank"),
        (args("bind", part_id="1", recipe="r"), "bad_arguments", "recipe: "),
        (args("bind", part_id="1", timeout_s=0), "bad_arguments", "timeout_s: "),
        (args("bind", part_id="1", timeout_s=3601), "bad_arguments", "timeout_s: "),
        (args("bind", part_id="1", timeout_s="5"), "bad_arguments", "timeout_s: "),
        (args("bind", part_id="1", applies_to="always"), "bad_arguments", "applies_to: "),
        (args("bind", part_id="1", applies_to="until_changed", timeout_s=5), "bad_arguments", "leave one"),
        (args("bind", job_id="1", timeout_s=5), "bad_arguments", "said of a part"),
        (args("bind", part_id=None, applies_to="window"), "bad_arguments", "said of a part"),
        (command(payload=request(expires=rfc3339(NOW))), "expired", "send it anew"),
    ],
)
def test_a_bad_command_is_refused_with_its_kind_and_a_remedy(inbound: Inbound, kind: str, why: str) -> None:
    asked = decided(inbound)
    assert isinstance(asked, Rejected)
    assert (asked.kind, asked.code) == (kind, CODES[asked.kind])
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(asked.message)


def test_a_command_that_has_run_is_not_run_again_even_when_it_has_expired_since() -> None:
    asked = decided(command(), ran=("c-1",), now=NOW + timedelta(hours=1))
    assert isinstance(asked, Rejected)
    assert (asked.kind, asked.code, asked.id) == ("repeated", 409, "c-1")


@pytest.mark.parametrize(("synced", "accepted"), [(True, False), (None, False), (False, True)])
def test_only_a_clock_known_to_be_wrong_does_not_expire_commands(synced: bool | None, accepted: bool) -> None:
    asked = decided(command(), now=NOW + timedelta(days=300), synced=synced)
    assert isinstance(asked, Accepted) == accepted
    on_time = decided(command(), synced=synced)
    assert isinstance(on_time, Accepted) and on_time.expiry_checked == (not accepted)


def test_an_answer_goes_where_the_request_says_if_that_is_allowed() -> None:
    asked = decided(command(response_topic=MES, correlation_data=b"\x00\xff"))
    assert isinstance(asked, Accepted)
    assert (asked.reply_to, asked.correlation_data) == (MES, b"\x00\xff")


@pytest.mark.parametrize("payload", [b"not json", request(id=""), request()])
def test_nothing_is_ever_answered_on_a_foreign_topic(payload: bytes) -> None:
    asked = decided(command(payload=payload, response_topic="another/topic"))
    assert asked.reply_to == TOPICS.rsp("replay")


@pytest.mark.parametrize(
    ("name", "answered_at"),
    [
        *[(name, name) for name in ("reboot", "Reboot", "get_image", "v1.2", "a" * 64, "0", "-", "x..y")],
        *[
            (name, "unknown")
            for name in ("a" * 65, "a" * 60_000, "", ".", "..", "...", " ", "a b", "ä", "\x07")
        ],
        *[
            (name, "unknown")
            for name in ("a+", "#", "+", "$SYS", "a#b", "\u2028", "\udcff", "ping/x", "../status")
        ],
    ],
)
def test_an_unknown_command_is_answered_on_its_name_where_that_can_stand_in_a_topic(
    name: str, answered_at: str
) -> None:
    topic = f"{TOPICS.prefix}/cmd/{name}"
    own = f"{TOPICS.prefix}/rsp/{answered_at}"
    asked = decided(command(topic=topic))
    assert isinstance(asked, Rejected)
    assert (asked.code, asked.reply_to, asked.id, asked.name) == (404, own, "c-1", None)
    assert decided(command(topic=topic, response_topic=MES)).reply_to == MES
    assert decided(command(topic=topic, response_topic="another")).reply_to == own


def test_what_is_no_command_to_this_station_is_answered_nowhere() -> None:
    for topic in ("plumbline/v1/a/b/c/another/cmd/ping", TOPICS.status(), f"{TOPICS.prefix}/cmd", "x"):
        assert decided(command(topic=topic)).reply_to is None


@pytest.mark.parametrize(
    "changes",
    [{"retained": True}, {"response_topic": "another"}, {"topic": f"{TOPICS.prefix}/cmd/other"}],
)
def test_a_refusal_bears_the_id_of_what_it_refuses_whatever_the_reason(changes: dict[str, Any]) -> None:
    asked = decided(command(**changes))
    assert isinstance(asked, Rejected) and asked.id == "c-1"


def test_a_command_without_room_is_refused_where_it_would_be_answered() -> None:
    refused = busy(command(response_topic=MES, correlation_data=b"7"), TOPICS, allowed)
    assert (refused.code, refused.kind, refused.reply_to) == (429, "busy", MES)
    assert (refused.id, refused.name, refused.correlation_data) == ("c-1", "replay", b"7")
    assert busy(command(payload=b"x" * 200_000), TOPICS, allowed).id is None


def test_a_refusal_names_the_command_it_refuses_where_that_can_be_read() -> None:
    asked = decided(args("replay", from_sequence=9, to_sequence=8))
    assert isinstance(asked, Rejected)
    assert (asked.id, asked.name) == ("c-1", "replay")


topics = st.sampled_from([TOPICS.cmd(name) for name in (*COMMANDS, "none")]) | st.text(max_size=40)
payloads = st.binary(max_size=200) | st.dictionaries(
    st.sampled_from(["schema", "id", "expires", "args"]) | st.text(max_size=5),
    st.sampled_from(["plumbline.command/1", rfc3339(NOW + timedelta(days=1)), {}])
    | st.none()
    | st.integers()
    | st.text(max_size=70)
    | st.dictionaries(st.sampled_from(["from_sequence", "to_sequence"]), st.integers()),
).map(lambda content: json.dumps(content).encode())
inbounds = st.builds(
    Inbound,
    topic=topics,
    payload=payloads,
    retained=st.booleans(),
    response_topic=st.none() | st.just(MES) | st.text(max_size=20),
    correlation_data=st.none() | st.binary(max_size=20),
)


@given(inbounds, st.booleans() | st.none())
def test_any_message_gets_a_decision_and_no_answer_goes_astray(inbound: Inbound, synced: bool | None) -> None:
    asked = decided(inbound, synced=synced)
    own = {TOPICS.rsp(name) for name in (*COMMANDS, "none", "unknown")}
    assert asked.reply_to is None or asked.reply_to in own or allowed(asked.reply_to)
    assert asked.correlation_data == inbound.correlation_data
    if isinstance(asked, Accepted):
        assert not inbound.retained and inbound.topic == TOPICS.cmd(asked.command.name)
