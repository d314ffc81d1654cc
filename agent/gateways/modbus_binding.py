"""Parts and orders by Modbus TCP: a block of registers, of which one says that the rest is whole.

Write everything else first, in as many requests as it takes, and `strobe` last, or with the last of them:
what stands in the block is bound at the moment at which `strobe` is written with another value than `taken`.
Half of it never is, and a request that is sent twice is bound once. Add 1 each time, and 1 after 65535. Then
read `taken` and `result`. Texts are UTF-8, two bytes in a register, the first one high.

| address   | what       | type   | meaning                                                               |
|-----------|------------|--------|-----------------------------------------------------------------------|
| 1000      | layout     | uint16 | 1; read only                                                          |
| 1001      | taken      | uint16 | the strobe that was answered last; 0: none; read only                 |
| 1002      | result     | uint16 | 1 bound, 2 it means nothing here, 3 late, 4 failed; read only         |
| 1003      | camera     | uint16 | its number in the order of the settings, from 0; 65535: all           |
| 1004      | applies to | uint16 | 0 next trigger, 1 window, 2 until changed                             |
| 1005-1006 | timeout    | uint32 | milliseconds; 0: 10 s, and with 2 none                                |
| 1007      | part bytes | uint16 | 0: as it was; 65535: no part any more; else bytes of the part         |
| 1008-1071 | part       | text   | at most 128 bytes                                                     |
| 1072      | job bytes  | uint16 | of the order, as for the part                                         |
| 1073-1136 | job        | text   | at most 128 bytes                                                     |
| 1137      | strobe     | uint16 | another value than `taken`, and not 0: bind what stands here          |
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import structlog
from pydantic import ValidationError

from agent.clock import Clock
from agent.contract.arguments import Bind
from agent.contract.commands import NotDoneError
from agent.errors import PlumblineError
from agent.gateways.binding import Binder

AREA = 1000
LAYOUT = 1
READ_ONLY = 3  # registers at its beginning
REGISTERS = 138
STROBE = REGISTERS - 1
ALL_CAMERAS = NONE_ANY_MORE = 0xFFFF
BOUND, UNFIT, LATE, FAILED = 1, 2, 3, 4
APPLIES_TO = ("next_trigger", "window", "until_changed")
_TEXT_REGISTERS = 64
_CAMERA, _APPLIES_TO, _TIMEOUT, _PART, _JOB = 3, 4, 5, 7, 72

log = structlog.get_logger(__name__)


class UnfitError(ValueError):
    """A register holds what has no meaning."""


class BindingArea:
    """For the server's thread."""

    def __init__(self, cameras: Sequence[str], bind: Binder, clock: Clock) -> None:
        self._cameras = tuple(cameras)
        self._bind = bind
        self._clock = clock

    def fresh(self) -> list[int]:
        """As it stands before anybody has written."""
        return [LAYOUT, *[0] * (REGISTERS - 1)]

    def wrote(self, before: Sequence[int], offset: int, values: Sequence[int]) -> tuple[int, int] | None:
        """`taken` and `result` after `values` were written at `offset`; None where there is nothing new."""
        after = [*before[:offset], *values, *before[offset + len(values) :]]
        strobe = after[STROBE]
        if not offset <= STROBE < offset + len(values) or strobe in (0, before[1]):
            return None
        return strobe, self._result(after)

    def _result(self, registers: Sequence[int]) -> int:
        try:
            self._bind(asked(registers, self._cameras), self._clock.monotonic_ns())
        except (UnfitError, ValidationError) as error:
            log.warning("binding_refused", gateway="modbus", reason=str(error).splitlines()[0][:200])
            return UNFIT
        except NotDoneError as error:
            log.warning("binding_refused", gateway="modbus", reason=str(error))
            return LATE if error.kind == "late" else UNFIT
        except PlumblineError as error:
            log.error("binding_failed", gateway="modbus", reason=str(error))
            return FAILED
        return BOUND


def asked(registers: Sequence[int], cameras: Sequence[str]) -> Bind:
    """What a whole block says. Raises UnfitError, or ValidationError."""
    camera, applies_to = registers[_CAMERA], registers[_APPLIES_TO]
    if camera != ALL_CAMERAS and camera >= len(cameras):
        raise UnfitError(f"camera {camera}: there are {len(cameras)}, counted from 0")
    if applies_to >= len(APPLIES_TO):
        raise UnfitError(f"applies to {applies_to}: it is 0, 1 or 2")
    said: dict[str, Any] = {"camera": None if camera == ALL_CAMERAS else cameras[camera]}
    for name, place in (("part_id", _PART), ("job_id", _JOB)):
        if registers[place]:
            said[name] = _text(registers[place : place + 1 + _TEXT_REGISTERS])
    if said.get("part_id") is not None:
        said["applies_to"] = APPLIES_TO[applies_to]
        timeout_ms = registers[_TIMEOUT] << 16 | registers[_TIMEOUT + 1]
        if timeout_ms:
            said["timeout_s"] = timeout_ms / 1000
    return Bind.model_validate(said)


def _text(registers: Sequence[int]) -> str | None:
    length = registers[0]
    if length == NONE_ANY_MORE:
        return None
    if length > 2 * _TEXT_REGISTERS:
        raise UnfitError(f"{length} bytes: at most {2 * _TEXT_REGISTERS}")
    content = struct.pack(f">{_TEXT_REGISTERS}H", *registers[1:])[:length]
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UnfitError(f"no UTF-8 at byte {error.start}") from error
