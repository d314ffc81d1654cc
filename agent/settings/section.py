"""What every section of the settings is made of."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

IDENTIFIER = r"^[a-z0-9_-]{1,64}$"
REACH = "x-reach"  # of a field, in the schema: see `agent/settings/reach.py`
Identifier = Annotated[str, Field(pattern=IDENTIFIER)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

FRAME: dict[str, JsonValue] = {REACH: "frame"}
CAMERA: dict[str, JsonValue] = {REACH: "camera"}

_LABEL = re.compile(r"[\w-]{1,63}")


def _host(text: str) -> str:
    """Never says what it refuses: a host is where addresses with passwords are pasted."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if len(text) > 253 or not all(_LABEL.fullmatch(one) for one in text.removesuffix(".").split(".")):
            raise ValueError(
                "is no host name or IP address; write it alone, such as broker.plant.example or 10.0.0.5:"
                " scheme, port, user and password have keys of their own, and IPv6 stands without brackets"
            ) from None
    return text


Host = Annotated[str, Field(min_length=1), AfterValidator(_host)]


class Section(BaseModel):
    """A mapping of known keys that never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


def item(number: int, text: str) -> str:
    """An item of a list, by its number where it may hold a login."""
    return f"number {number}" if "@" in text or "://" in text else repr(text)
