"""OPC UA: a server that shows the latest result of each camera in the fields of OPC 40001-101.

Under Objects stands the station's folder with Heartbeat (UInt32, grows at least once a second; when
it stands still for 5 s nothing here is true any more), Interlock (Boolean, true: hold the line), and
a folder for each camera with the variables of FIELDS, `BadWaitingForInitialData` before the first
result. Node ids are strings in the namespace NAMESPACE: `top.ResultId`, `Heartbeat`. Where the settings have
part rules, a folder for each has the variables of PART_FIELDS: `part.housing.ResultId`.

Each result is also a ResultReady event of the Server object, with Camera and the same fields, and each part
verdict a PartReady event with Rule. A
client that wants the fields of one result together takes the event. An event is sent again when the
agent dies at the wrong moment: de-duplicate on ResultId.

WITHOUT A CERTIFICATE NOTHING IS ENCRYPTED AND WHOEVER REACHES THE PORT READS IT. With one, only
clients that sign and encrypt with Basic256Sha256 are let in, see `opcua_security.py`. Nothing can be written,
but for parts and orders where settings say `binding` (`opcua_binding.py`). Not covered: the
full node set of OPC 40001-101 (the names are its, the types are plain).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from asyncua import Node, Server, ua
from asyncua.server.event_generator import EventGenerator

from agent.clock import Clock
from agent.contract.part import PartVerdict
from agent.contract.row import Waiting
from agent.contract.topics import Topics
from agent.contract.verdict import Verdict
from agent.gateways.binding import Binder
from agent.gateways.gateway import GatewayError
from agent.gateways.latest import Batch, batch, created
from agent.gateways.loop import LoopThread
from agent.gateways.opcua_binding import add_binding
from agent.gateways.opcua_fields import FIELDS, PART_FIELDS, Field
from agent.gateways.opcua_security import secure
from agent.settings.credentials import CredentialError
from agent.settings.gateways import OpcUaGateway

NAMESPACE = "urn:plumbline:results"
START_S = 60.0
CALL_S = 10.0
CONNECTIONS = 32  # whose descriptors the recording can spare
ACTIVATION_S = 5.0  # until a connection without a session makes room

T = TypeVar("T", Verdict, PartVerdict)


class OpcUaSink:
    """The server runs on a loop in its own thread."""

    rows_at_a_time = 64

    def __init__(
        self,
        settings: OpcUaGateway,
        *,
        topics: Topics,
        cameras: Sequence[str],
        rules: Sequence[str],
        interlock: Callable[[], bool],
        bind: Binder,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._cameras = tuple(cameras)
        self._rules = tuple(rules)
        self._interlock = interlock
        self._bind = bind
        self._clock = clock
        self._heartbeats = 0
        self._loop: LoopThread | None = None
        self._server: Server | None = None

    def open(self) -> None:
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # what clients do wrong is no event of ours
        self._loop = LoopThread("opcua")
        self._loop.start()
        place = f"{self._settings.host}:{self._settings.port}"
        try:
            self._loop.call(self._serve(), START_S)
        except CredentialError as error:
            raise GatewayError(str(error)) from error
        except (OSError, ValueError, ua.UaError) as error:
            raise GatewayError(
                f"{place}: the OPC UA server does not start ({error}); check host and that port is free"
            ) from error

    def deliver(self, rows: Sequence[Waiting]) -> None:
        assert self._loop is not None
        found = batch(rows)
        try:
            self._loop.call(self._show(found, self._interlock()), CALL_S)
        except (OSError, ua.UaError) as error:
            place = f"{self._settings.host}:{self._settings.port}"
            raise GatewayError(
                f"{place}: the OPC UA server failed ({error!r}); it is started again"
            ) from error
        if found.refusal is not None:
            raise found.refusal

    def close(self) -> None:
        if self._loop is None:
            return
        if self._server is not None:
            with contextlib.suppress(OSError, ua.UaError):  # what does not stop ends with its loop
                self._loop.call(self._server.stop(), CALL_S)
        self._loop.stop()
        self._loop = self._server = None

    async def _serve(self) -> None:
        settings = self._settings
        server = Server()
        await secure(server, settings)
        await server.init()
        server.iserver.max_connections = CONNECTIONS
        server.iserver.max_pending_activation_seconds = ACTIVATION_S
        server.set_endpoint(f"opc.tcp://{settings.host}:{settings.port}")
        server.set_server_name(f"Plumbline {self._topics.station}")
        await server.set_application_uri(f"urn:plumbline:{self._topics.station}")
        server.allow_remote_admin(False)
        server.set_identity_tokens([ua.AnonymousIdentityToken])
        await self._furnish(server)
        await server.start()
        self._server = server

    async def _furnish(self, server: Server) -> None:
        index = await server.register_namespace(NAMESPACE)
        station = await _folder(server.nodes.objects, index, self._topics.station, self._topics.station)
        self._heartbeat = await _variable(station, index, "", "Heartbeat", ua.VariantType.UInt32)
        self._held = await _variable(station, index, "", "Interlock", ua.VariantType.Boolean)
        self._variables: dict[str, list[Node]] = {}
        await self._take_bindings(server, station, index, None)
        for camera in self._cameras:
            folder = await _folder(station, index, f"{camera}.", camera)
            await self._take_bindings(server, folder, index, camera)
            self._variables[camera] = [
                await _variable(folder, index, f"{camera}.", field.name, field.type) for field in FIELDS
            ]
        self._results = await _events(server, index, "ResultReadyEventType", "Camera", FIELDS)
        self._of_parts: dict[str, list[Node]] = {}
        for rule in self._rules:
            folder = await _folder(station, index, f"part.{rule}.", rule)
            self._of_parts[rule] = [
                await _variable(folder, index, f"part.{rule}.", field.name, field.type)
                for field in PART_FIELDS
            ]
        self._parts = await _events(server, index, "PartReadyEventType", "Rule", PART_FIELDS)

    async def _take_bindings(self, server: Server, folder: Node, index: int, camera: str | None) -> None:
        if (applies_to := self._settings.binding) is not None:
            await add_binding(
                server,
                folder,
                index,
                camera=camera,
                applies_to=applies_to,
                bind=self._bind,
                clock=self._clock,
            )

    async def _show(self, found: Batch, interlock: bool) -> None:
        self._heartbeats = self._heartbeats + 1 & 0xFFFF_FFFF
        await self._heartbeat.write_value(ua.Variant(self._heartbeats, ua.VariantType.UInt32))
        await self._held.write_value(ua.Variant(interlock, ua.VariantType.Boolean))
        for camera, verdict in found.of_cameras().items():
            await _write(self._variables.get(camera, ()), FIELDS, verdict)
        for rule, part in found.of_rules().items():
            await _write(self._of_parts.get(rule, ()), PART_FIELDS, part)
        for verdict in found.verdicts:
            await _announce(self._results, "Camera", verdict.camera, FIELDS, verdict)
        for part in found.parts:
            await _announce(self._parts, "Rule", part.rule, PART_FIELDS, part)


async def _write(variables: Sequence[Node], fields: Sequence[Field[T]], verdict: T) -> None:
    for field, variable in zip(fields, variables, strict=False):
        value = ua.Variant(field.value(verdict), field.type)
        await variable.write_value(ua.DataValue(value, SourceTimestamp=created(verdict)))


async def _announce(
    events: EventGenerator, of: str, name: str, fields: Sequence[Field[T]], verdict: T
) -> None:
    setattr(events.event, of, name)
    for field in fields:
        setattr(events.event, field.name, field.value(verdict))
    message = f"{name}: {verdict.verdict} ({verdict.sequence})"
    await events.trigger(time_attr=created(verdict), message=message)


async def _events(
    server: Server, index: int, name: str, of: str, fields: Sequence[Field[Any]]
) -> EventGenerator:
    """The events of this type; `of` names whose result each is."""
    properties = [(of, ua.VariantType.String), *((field.name, field.type) for field in fields)]
    return await server.get_event_generator(
        await server.create_custom_event_type(index, name, properties=properties)
    )


async def _folder(parent: Node, index: int, id_: str, name: str) -> Node:
    return await parent.add_object(ua.NodeId(id_, index), ua.QualifiedName(name, index))


async def _variable(parent: Node, index: int, prefix: str, name: str, type_: ua.VariantType) -> Node:
    variable = await parent.add_variable(
        ua.NodeId(f"{prefix}{name}", index),
        ua.QualifiedName(name, index),
        ua.get_default_value(type_),
        type_,
    )
    waiting = ua.StatusCode(ua.StatusCodes.BadWaitingForInitialData)
    await variable.write_value(ua.DataValue(StatusCode=waiting))
    return variable
