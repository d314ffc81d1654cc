"""An OPC UA server of ours, and clients of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from asyncua import Client, ua

from agent.clock import SystemClock
from agent.contract.row import Row
from agent.gateways.binding import Binder
from agent.gateways.opcua import NAMESPACE, OpcUaSink
from agent.settings.gateways import OpcUaGateway
from tests.agent.gateways.records import waiting
from tests.agent.outbox.rows import TOPICS
from tests.brokers import DEADLINE_S, HOST, free_port

T = TypeVar("T")


@dataclass
class Hmi:
    """A sink, and clients of it."""

    sink: OpcUaSink
    url: str
    hold: list[bool] = field(default_factory=list)  # the interlock is on while there is something in it

    def deliver(self, *rows: Row) -> None:
        self.sink.deliver(waiting(rows))

    def ask(self, question: Callable[[Client, int], Awaitable[T]], client: Client | None = None) -> T:
        """What `question` finds out with a client that is connected, and the index of our namespace."""

        async def asking() -> T:
            async with client or Client(self.url) as connected:
                return await question(connected, await connected.get_namespace_index(NAMESPACE))

        return asyncio.run(asyncio.wait_for(asking(), DEADLINE_S))

    def read(self, *names: str) -> list[Any]:
        async def reading(client: Client, index: int) -> list[Any]:
            return [await client.get_node(ua.NodeId(name, index)).read_value() for name in names]

        return self.ask(reading)


def hmi(bind: Binder = lambda wanted, arrived_ns: (), **security: object) -> Hmi:
    port = free_port()
    hold: list[bool] = []
    settings = OpcUaGateway.model_validate({"host": HOST, "port": port, **security})
    sink = OpcUaSink(
        settings,
        topics=TOPICS,
        cameras=["top", "bottom"],
        rules=["housing"],
        interlock=lambda: bool(hold),
        bind=bind,
        clock=SystemClock(),
    )
    return Hmi(sink=sink, url=f"opc.tcp://{HOST}:{port}", hold=hold)
