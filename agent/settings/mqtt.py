"""The broker, and how records are handed to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from agent.settings.section import Host, Section, item

_NEEDS = {
    "password_file": "username",
    "cert_file": "key_file",
    "key_file": "cert_file",
    "key_password_file": "key_file",
}


class Delivery(Section):
    """When a verdict counts as delivered."""

    confirmed_by: Literal["broker", "mes"] = "broker"
    confirm_timeout_s: float = Field(60.0, ge=5, le=86_400)
    require_subscriber: bool = False
    replays_per_s: float = Field(200.0, ge=1, le=10_000)


class Mqtt(Section):
    host: Host = "127.0.0.1"
    port: int = Field(1883, ge=1, le=65_535)
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    keepalive_s: int = Field(20, ge=5, le=1200)
    window: int = Field(20, ge=1, le=100)
    username: str | None = None
    password_file: Path | None = None
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password_file: Path | None = None
    response_prefixes: tuple[str, ...] = Field((), max_length=16)

    @model_validator(mode="after")
    def _nothing_is_left_unused(self) -> Mqtt:
        for key in ("ca_file", "cert_file", "key_file"):
            if getattr(self, key) is not None and not self.tls:
                raise ValueError(f"{key} is used with TLS only; set tls to true or remove {key}")
        for key, needed in _NEEDS.items():
            if getattr(self, key) is not None and getattr(self, needed) is None:
                raise ValueError(f"{key} needs a {needed} beside it; set {needed} or remove it")
        return self

    @field_validator("response_prefixes")
    @classmethod
    def _prefixes_are_whole_levels(cls, prefixes: tuple[str, ...]) -> tuple[str, ...]:
        for number, prefix in enumerate(prefixes):
            if not re.fullmatch(r"[^$/+#\x00](?:[^+#\x00]*[^/+#\x00])?", prefix):
                raise ValueError(
                    f"{item(number, prefix)} cannot begin a topic; write whole levels such as"
                    " mes/answers, with no slash "
                    "at either end, no + or #, and no $ at the start"
                )
        return prefixes
