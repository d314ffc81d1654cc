"""The OPC UA server as a client of asyncua sees it over loopback."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

import pytest
from asyncua import Client, ua

from agent.contract.row import Row
from agent.gateways.gateway import GatewayError, Unacceptable
from agent.gateways.opcua import ACTIVATION_S, CONNECTIONS
from agent.gateways.opcua_fields import FIELDS, PART_FIELDS
from tests.agent.gateways.hmi import Hmi, hmi
from tests.agent.gateways.records import MORNING, crop, part, result_id, verdict
from tests.agent.outbox.rows import TOPICS
from tests.brokers import DEADLINE_S, HOST

T = TypeVar("T")


@pytest.fixture(scope="module")
def plant() -> Iterator[Hmi]:
    """One server for all tests that only look; the address space takes seconds to build."""
    one = hmi()
    one.sink.open()
    yield one
    one.sink.close()


def test_a_camera_without_a_result_waits_for_one(plant: Hmi) -> None:
    async def reading(client: Client, index: int) -> ua.DataValue:
        return await client.get_node(ua.NodeId("bottom.ResultId", index)).read_data_value(
            raise_on_bad_status=False
        )

    value = plant.ask(reading)
    assert value.StatusCode is not None
    assert value.StatusCode.value == ua.StatusCodes.BadWaitingForInitialData


def test_the_latest_result_of_a_batch_is_read_field_by_field(plant: Hmi) -> None:
    plant.deliver(verdict(1, name="pass"), verdict(2, part_id="SN123"), crop(2), verdict(9, camera="gone"))
    assert plant.read(*(f"top.{one.name}" for one in FIELDS)) == [
        result_id(2),
        2,
        2,
        1,
        "",
        MORNING,
        False,
        False,
        "",
        "SN123",
        2,
        0.0371,
        0.031,
    ]


@pytest.mark.parametrize(("name", "code", "state"), [("pass", 1, 1), ("undecided", 3, 1), ("skipped", 0, 3)])
def test_evaluation_and_state_are_those_of_the_standard(plant: Hmi, name: Any, code: int, state: int) -> None:
    plant.deliver(verdict(3, name=name, score=None))
    found = plant.read("top.ResultEvaluation", "top.ResultEvaluationCode", "top.ResultState", "top.Score")
    assert found[:3] == [code, code, state] and math.isnan(found[3])


def test_the_types_are_those_of_the_table(plant: Hmi) -> None:
    plant.deliver(verdict(4))

    async def reading(client: Client, index: int) -> list[ua.VariantType]:
        nodes = [client.get_node(ua.NodeId(f"top.{one.name}", index)) for one in FIELDS]
        return [await node.read_data_type_as_variant_type() for node in nodes]

    assert plant.ask(reading) == [one.type for one in FIELDS]


def test_a_browsing_client_finds_station_cameras_and_fields(plant: Hmi) -> None:
    async def browsing(client: Client, index: int) -> tuple[set[str], set[str]]:
        station = await client.nodes.objects.get_child(f"{index}:{TOPICS.station}")
        top = await station.get_child(f"{index}:top")
        names = [
            [(await node.read_browse_name()).Name for node in await at.get_children()]
            for at in (station, top)
        ]
        return set(names[0]), set(names[1])

    station, top = plant.ask(browsing)
    assert station == {"Heartbeat", "Interlock", "top", "bottom", "housing"}
    assert top == {one.name for one in FIELDS}


def test_the_latest_part_verdict_of_a_rule_is_read_field_by_field(plant: Hmi) -> None:
    plant.deliver(part(1), verdict(7), part(2, missing=("bottom",)), part(9, rule="gone"))
    assert plant.read(*(f"part.housing.{one.name}" for one in PART_FIELDS)) == [
        "019ab000-0000-5000-8000-000000000002",
        3,
        3,
        1,
        "view_missing",
        MORNING,
        False,
        False,
        "",
        "SN2",
        2,
        "SN2",
        "bottom",
        f"top={result_id(2)}",
        "",
    ]


def test_every_part_verdict_is_an_event_with_its_rule(plant: Hmi) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()

    class Handler:
        def event_notification(self, event: Any) -> None:
            heard.put_nowait(event)

    async def listening(client: Client, index: int) -> list[Any]:
        subscription = await client.create_subscription(20, Handler())
        event_type = await client.nodes.base_event_type.get_child(f"{index}:PartReadyEventType")
        await subscription.subscribe_events(client.nodes.server, event_type)
        await asyncio.to_thread(plant.deliver, part(3), verdict(8), part(4, missing=("bottom",)))
        return [await heard.get() for _ in range(2)]

    events = plant.ask(listening)
    assert [(one.Rule, one.Sequence, one.ResultEvaluation, one.Missing) for one in events] == [
        ("housing", 3, 2, ""),
        ("housing", 4, 3, "bottom"),
    ]


def test_heartbeat_and_interlock_move_without_any_result(plant: Hmi) -> None:
    plant.deliver()
    before, held = plant.read("Heartbeat", "Interlock")
    assert not held
    plant.hold.append(True)
    plant.deliver()
    assert plant.read("Heartbeat", "Interlock") == [before + 1, True]
    plant.hold.clear()
    plant.deliver()
    assert plant.read("Interlock") == [False]


def test_every_result_is_an_event_with_all_its_fields(plant: Hmi) -> None:
    class Heard:
        def __init__(self) -> None:
            self.events: asyncio.Queue[Any] = asyncio.Queue()

        def event_notification(self, event: Any) -> None:
            self.events.put_nowait(event)

    async def listening(client: Client, index: int) -> list[Any]:
        heard = Heard()
        subscription = await client.create_subscription(20, heard)
        event_type = await client.nodes.base_event_type.get_child(f"{index}:ResultReadyEventType")
        await subscription.subscribe_events(client.nodes.server, event_type)
        rows = [verdict(5), verdict(6, camera="bottom", name="pass"), verdict(7)]
        await asyncio.to_thread(plant.deliver, *rows)
        return [await heard.events.get() for _ in rows]

    events = plant.ask(listening)
    assert [(one.Camera, one.Sequence, one.ResultEvaluation) for one in events] == [
        ("top", 5, 2),
        ("bottom", 6, 1),
        ("top", 7, 2),
    ]
    first = events[0]
    assert (first.ResultId, first.CreationTime, first.Time) == (result_id(5), MORNING, MORNING)
    assert (first.Score, first.Threshold, first.IsPartial) == (0.0371, 0.031, False)
    assert first.Message.Text == "top: fail (5)"


def test_a_verdict_of_an_unknown_form_is_unacceptable_and_what_came_before_it_is_shown(plant: Hmi) -> None:
    bad = Row(id="x", kind="verdict", topic="t", payload=b"{}", content_type="application/json")
    with pytest.raises(Unacceptable, match="not a verdict that this agent knows") as caught:
        plant.deliver(verdict(17), bad, verdict(18))
    assert caught.value.seq == 2
    assert plant.read("top.Sequence") == [17]


def test_no_client_changes_anything(plant: Hmi) -> None:
    plant.deliver(verdict(8))

    async def meddling(client: Client, index: int) -> list[str]:
        node = client.get_node(ua.NodeId("top.ResultEvaluation", index))
        refused = []
        for attempt in (
            node.write_value(ua.Variant(1, ua.VariantType.Int32)),
            node.delete(),
            client.nodes.objects.add_folder(index, "mine"),
        ):
            try:
                await attempt
            except ua.UaError as error:
                refused.append(type(error).__name__)
        return refused

    assert plant.ask(meddling) == ["BadUserAccessDenied"] * 3
    assert plant.read("top.ResultEvaluation") == [2]


def test_nobody_is_an_administrator(plant: Hmi) -> None:
    client = Client(plant.url)
    client.set_user("admin")
    client.set_password("admin")

    async def nothing(client: Client, index: int) -> None:
        pass

    with pytest.raises(ua.UaError):
        plant.ask(nothing, client)


@pytest.mark.slow
def test_a_port_that_is_taken_is_named() -> None:
    one = hmi()
    with socket.create_server((HOST, int(one.url.rpartition(":")[2]))):
        with pytest.raises(
            GatewayError, match=r"the OPC UA server does not start .*; check host and that port is free"
        ):
            one.sink.open()
        one.sink.close()


def test_connections_without_a_session_are_few_and_make_room(plant: Hmi, monkeypatch: Any) -> None:
    assert plant.sink._server is not None
    internal = plant.sink._server.iserver
    assert (internal.max_connections, internal.max_pending_activation_seconds) == (CONNECTIONS, ACTIVATION_S)
    monkeypatch.setattr(internal, "max_pending_activation_seconds", 0.2)
    plant.deliver(verdict(1))
    port = int(plant.url.rpartition(":")[2])
    with ExitStack() as crowd:
        guests = [
            crowd.enter_context(socket.create_connection((HOST, port), DEADLINE_S))
            for _ in range(3 * CONNECTIONS)
        ]
        assert all(guest.recv(1) == b"" for guest in guests), "they are sent away"
        assert plant.read("top.ResultEvaluationCode") == [2]
