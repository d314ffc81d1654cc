"""A gate behind a Boolean variable of a PLC's OPC UA server; the heartbeat is another one, which toggles.

A variable that was written stays as it is: the PLC has to shut the gate itself when the heartbeat stands
still. Without certificates nothing is encrypted; with them messages are signed and encrypted
(Basic256Sha256), and only the server with that certificate is spoken to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from asyncua import Client, Node, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from agent.address import masked_text
from agent.gateways.loop import LoopThread
from agent.outputs.gate import GateError
from agent.settings.credentials import CredentialError, check_private, locate
from agent.settings.outputs import OpcUaGate

CONNECT_S = 2.0  # a session takes several answers
APPLICATION = "urn:plumbline:output"

T = TypeVar("T")


class OpcUaVariable:
    """One session, on a loop in a thread of its own; made anew after every failure."""

    def __init__(self, settings: OpcUaGate) -> None:
        self._settings = settings
        self._loop: LoopThread | None = None
        self._client: Client | None = None
        self._gate: Node | None = None
        self._heartbeat: Node | None = None

    def open(self) -> None:
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # what fails is told once, by the worker
        self._loop = LoopThread("output-opcua")
        self._loop.start()
        self._asked(self._connect(), max(CONNECT_S, self._settings.timeout_s))

    def set(self, high: bool) -> None:
        self._write(self._gate, high)

    def beat(self, high: bool) -> None:
        if self._heartbeat is not None:
            self._write(self._heartbeat, high)

    def level(self) -> bool:
        """Of the gate, as the server has it now; for who looks and moves nothing."""
        assert self._gate is not None
        found = self._asked(self._gate.read_value(), self._settings.timeout_s)
        if not isinstance(found, bool):
            raise GateError(
                f"{self._place}: node {self._settings.node} holds {type(found).__name__}, and is to be a "
                "Boolean; name another one"
            )
        return found

    def close(self) -> None:
        loop, client = self._loop, self._client
        self._loop = self._client = self._gate = self._heartbeat = None
        if loop is None:
            return
        if client is not None:
            with contextlib.suppress(Exception):  # it is gone, or goes with its loop
                loop.call(client.disconnect(), self._settings.timeout_s)
        loop.stop()

    @property
    def _place(self) -> str:
        return f"OPC UA {masked_text(self._settings.url)}"

    async def _connect(self) -> None:
        settings = self._settings
        client = Client(settings.url, timeout=settings.timeout_s)
        client.application_uri = APPLICATION
        if settings.certificate_file and settings.key_file and settings.server_certificate_file:
            key_file = locate(settings.key_file, key="key_file")
            check_private(key_file, key="key_file")
            await client.set_security(
                SecurityPolicyBasic256Sha256,
                certificate=str(settings.certificate_file),
                private_key=str(key_file),
                server_certificate=str(settings.server_certificate_file),
            )
        await client.connect()
        self._client = client
        self._gate = client.get_node(settings.node)
        await self._gate.read_data_type_as_variant_type()  # a node that is not there is told now
        if settings.heartbeat_node is not None:
            self._heartbeat = client.get_node(settings.heartbeat_node)

    def _write(self, node: Node | None, high: bool) -> None:
        if node is None:
            raise GateError(f"{self._place}: is not connected")
        value = ua.DataValue(ua.Variant(high, ua.VariantType.Boolean))
        self._asked(node.write_value(value), self._settings.timeout_s)

    def _asked(self, coroutine: Coroutine[Any, Any, T], timeout_s: float) -> T:
        assert self._loop is not None
        try:
            return self._loop.call(coroutine, timeout_s)
        except CredentialError as error:
            raise GateError(str(error)) from error
        except (TimeoutError, asyncio.TimeoutError) as error:
            raise GateError(
                f"{self._place} did not answer within {timeout_s:g} s; check the PLC and its network"
            ) from error
        except Exception as error:  # the library raises what it likes of an answer that is none
            raise GateError(
                f"{self._place}: {type(error).__name__} {error}; check url, node and who may write there"
            ) from error
