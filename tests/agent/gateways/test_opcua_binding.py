"""A client of the OPC UA server binds parts and orders by writing them, if it may write."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from pydantic import ValidationError

from agent.contract.arguments import Bind
from agent.contract.commands import NotDoneError
from agent.errors import PlumblineError
from agent.gateways.opcua import NAMESPACE
from agent.settings.gateways import OpcUaGateway
from tests.agent.gateways.hmi import Hmi, hmi
from tests.agent.gateways.test_opcua_security import Pair, pairs
from tests.agent.outbox.rows import TOPICS
from tests.brokers import DEADLINE_S

__all__ = ["pairs"]  # a fixture


class Bound:
    """What was bound, and why the next one is not."""

    def __init__(self) -> None:
        self.wanted: list[Bind] = []
        self.fails: PlumblineError | None = None

    def __call__(self, wanted: Bind, arrived_ns: int) -> Sequence[str]:
        if self.fails is not None:
            raise self.fails
        assert arrived_ns > 0
        self.wanted.append(wanted)
        return ["top"]


BOUND = Bound()


@pytest.fixture(scope="module")
def server() -> Iterator[Hmi]:
    one = hmi(BOUND, binding="next_trigger")
    one.sink.open()
    yield one
    one.sink.close()


@pytest.fixture
def plant(server: Hmi) -> Hmi:
    BOUND.wanted, BOUND.fails = [], None
    return server


def write(one: Hmi, name: str, value: Any, kind: ua.VariantType = ua.VariantType.String) -> None:
    async def writing(client: Client, index: int) -> None:
        await client.get_node(ua.NodeId(name, index)).write_value(ua.Variant(value, kind))

    one.ask(writing)


def test_a_part_and_an_order_are_bound_by_writing_them(plant: Hmi) -> None:
    write(plant, "top.BindPartId", "SN-1")
    write(plant, "bottom.BindJobId", "WO-7")
    write(plant, "BindPartId", "SN-2")
    write(plant, "top.BindPartId", "")
    assert BOUND.wanted == [
        Bind(camera="top", part_id="SN-1", applies_to="next_trigger"),
        Bind(camera="bottom", job_id="WO-7"),
        Bind(part_id="SN-2", applies_to="next_trigger"),
        Bind(camera="top", part_id=None),
    ]
    assert plant.read("BindPartId", "bottom.BindJobId", "top.BindPartId") == ["SN-2", "WO-7", ""]


@pytest.mark.parametrize("value", ["x" * 129, "SN\n1", " SN"])
def test_what_may_not_stand_there_is_refused_and_the_value_before_stays(plant: Hmi, value: str) -> None:
    write(plant, "top.BindPartId", "SN-1")
    with pytest.raises(ua.UaStatusCodeError, match="BadOutOfRange"):
        write(plant, "top.BindPartId", value)
    assert plant.read("top.BindPartId") == ["SN-1"] and len(BOUND.wanted) == 1


def test_a_value_of_another_type_is_refused(plant: Hmi) -> None:
    with pytest.raises(ua.UaStatusCodeError, match="BadTypeMismatch"):
        write(plant, "top.BindPartId", 7, ua.VariantType.Int32)
    assert not BOUND.wanted


def test_what_comes_too_late_or_fails_is_answered_with_a_bad_status(plant: Hmi) -> None:
    BOUND.fails = NotDoneError("late", "its record is made")
    with pytest.raises(ua.UaStatusCodeError, match="BadInvalidState"):
        write(plant, "top.BindPartId", "SN-1")
    BOUND.fails = PlumblineError("the disk is gone")
    with pytest.raises(ua.UaStatusCodeError, match="BadInternalError"):
        write(plant, "top.BindPartId", "SN-1")


def test_results_stay_read_only(plant: Hmi) -> None:
    for name in ("top.PartId", "Heartbeat"):
        with pytest.raises(ua.UaStatusCodeError, match="BadUserAccessDenied"):
            write(plant, name, "SN-1")


def test_without_the_setting_there_is_nothing_to_write() -> None:
    one = hmi()
    one.sink.open()
    try:
        with pytest.raises(ua.UaStatusCodeError, match="BadUserAccessDenied"):
            write(one, "top.BindPartId", "SN-1")
    finally:
        one.sink.close()


@pytest.mark.slow
def test_only_clients_of_the_writers_folder_write_and_they_may_read(
    pairs: dict[str, Pair], tmp_path: Path
) -> None:
    bound = Bound()
    for folder, name in (("trusted", "known"), ("writers", "server")):
        (tmp_path / folder).mkdir()
        shutil.copy(pairs[name][0], tmp_path / folder)
    one = hmi(
        bound,
        binding="until_changed",
        certificate_file=pairs["server"][0],
        key_file=pairs["server"][1],
        trusted_folder=tmp_path / "trusted",
        writers_folder=tmp_path / "writers",
    )
    one.sink.open()

    async def writing(pair: Pair) -> None:
        client = Client(one.url)
        client.application_uri = f"urn:plumbline:{TOPICS.station}"
        mode = ua.MessageSecurityMode.SignAndEncrypt
        await client.set_security(SecurityPolicyBasic256Sha256, *pair, mode=mode)
        async with client:
            index = await client.get_namespace_index(NAMESPACE)
            node = client.get_node(ua.NodeId("top.BindPartId", index))
            await node.read_value()
            await node.write_value(ua.Variant("SN-1", ua.VariantType.String))

    try:
        asyncio.run(asyncio.wait_for(writing(pairs["server"]), DEADLINE_S))
        assert bound.wanted == [Bind(camera="top", part_id="SN-1", applies_to="until_changed")]
        with pytest.raises(ua.UaStatusCodeError, match="BadUserAccessDenied"):
            asyncio.run(asyncio.wait_for(writing(pairs["known"]), DEADLINE_S))
        with pytest.raises(ua.UaStatusCodeError, match="BadUserAccessDenied"):
            asyncio.run(asyncio.wait_for(writing(pairs["stranger"]), DEADLINE_S))
        assert len(bound.wanted) == 1
    finally:
        one.sink.close()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"host": "0.0.0.0", "anonymous": True, "binding": "next_trigger"}, "writers_folder"),
        ({"writers_folder": "w"}, "writers_folder needs binding"),
        ({"writers_folder": "w", "binding": "next_trigger"}, "certificate_file"),
    ],
)
def test_settings_that_let_anybody_bind_from_afar_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        OpcUaGateway.model_validate(values)
