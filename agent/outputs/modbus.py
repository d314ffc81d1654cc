"""A gate behind a coil of a PLC (function 5); the heartbeat is another one, which toggles.

A coil that was written stays as it is: the PLC has to shut the gate itself when the heartbeat stands still.
"""

from __future__ import annotations

import logging
from typing import Any

from pymodbus.client import ModbusTcpClient

from agent.outputs.gate import GateError
from agent.settings.outputs import ModbusGate

WRITE_COIL = 5  # the function, whose answer is the request once more


class ModbusCoil:
    """One connection, made anew after every failure."""

    def __init__(self, settings: ModbusGate) -> None:
        self._settings = settings
        self._client: ModbusTcpClient | None = None

    @property
    def _place(self) -> str:
        return f"Modbus {self._settings.host}:{self._settings.port}"

    def open(self) -> None:
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # what fails is told once, by the worker
        settings = self._settings
        client = ModbusTcpClient(settings.host, port=settings.port, timeout=settings.timeout_s, retries=0)
        if not client.connect():  # type: ignore[no-untyped-call]
            raise GateError(
                f"{self._place} cannot be connected to; check host and port, and that the PLC has a"
                " connection to spare"
            )
        self._client = client

    def set(self, high: bool) -> None:
        self._write(self._settings.coil, high, "coil")

    def beat(self, high: bool) -> None:
        if self._settings.heartbeat_coil is not None:
            self._write(self._settings.heartbeat_coil, high, "heartbeat_coil")

    def level(self) -> bool:
        """Of the gate, as the PLC has it now; for who looks and moves nothing."""
        settings = self._settings
        answer = self._asked(
            lambda client: client.read_coils(settings.coil, count=1, device_id=settings.unit), "coil"
        )
        return bool(answer.bits[0])

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()  # type: ignore[no-untyped-call]

    def _write(self, address: int, high: bool, key: str) -> None:
        answer = self._asked(
            lambda client: client.write_coil(address, high, device_id=self._settings.unit), key
        )
        echo = (answer.function_code, answer.address, list(answer.bits[:1]))
        if echo != (WRITE_COIL, address, [high]):
            raise GateError(
                f"{self._place} answered to {key} {address} with another thing than what was written; check "
                "that a PLC is there, and that no other program writes in its place"
            )

    def _asked(self, ask: Any, key: str) -> Any:
        if self._client is None:
            raise GateError(f"{self._place}: is not connected")
        try:
            answer = ask(self._client)
        except Exception as error:  # the library raises what it likes of an answer that is none
            raise GateError(
                f"{self._place} did not answer within {self._settings.timeout_s:g} s; check the PLC,"
                " its network, and gate.unit"
            ) from error
        if answer.isError():
            raise GateError(
                f"{self._place} refused {key} {getattr(self._settings, key)} (exception "
                f"{getattr(answer, 'exception_code', '?')}); check that the PLC has that coil, and unit "
                f"{self._settings.unit}"
            )
        return answer
