"""Which sink a gateway's settings mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agent.clock import Clock
from agent.contract.topics import Topics
from agent.gateways.binding import Binder
from agent.gateways.folder import FolderSink
from agent.gateways.gateway import GatewayError, Sink
from agent.gateways.sparkplug import SparkplugSink
from agent.gateways.webhook import WebhookSink
from agent.settings.gateways import (
    FolderGateway,
    Gateway,
    ModbusGateway,
    OpcUaGateway,
    SparkplugGateway,
    WebhookGateway,
)


def make_sink(
    gateway: Gateway,
    *,
    topics: Topics,
    cameras: Sequence[str],
    rules: Mapping[str, Sequence[str]],
    clock: Clock,
    interlock: Callable[[], bool],
    bind: Binder,
) -> Sink:
    """The sink for a gateway, not yet open. `rules`: part rules with their cameras. `interlock` says,
    quickly, whether the line is to be held.

    Raises GatewayError where a package is missing.
    """
    try:
        match gateway:
            case WebhookGateway():
                return WebhookSink(gateway, clock)
            case FolderGateway():
                return FolderSink(gateway, clock)
            case SparkplugGateway():
                return SparkplugSink(
                    gateway, edge=topics.station, cameras=cameras, rules=tuple(rules), clock=clock
                )
            case OpcUaGateway():
                from agent.gateways.opcua import OpcUaSink  # asyncua is large and an extra

                return OpcUaSink(
                    gateway,
                    topics=topics,
                    cameras=cameras,
                    rules=tuple(rules),
                    interlock=interlock,
                    bind=bind,
                    clock=clock,
                )
            case ModbusGateway():
                from agent.gateways.modbus import ModbusSink  # pymodbus is an extra

                return ModbusSink(
                    gateway, cameras=cameras, rules=rules, clock=clock, interlock=interlock, bind=bind
                )
    except ModuleNotFoundError as error:
        raise GatewayError(
            f"gateway {gateway.name}: kind {gateway.kind} needs the package {error.name}; "
            "install plumbline[gateways]"
        ) from error
