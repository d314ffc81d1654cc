"""Commands as they arrive, for tests of those who decide and perform them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

from agent.clock import rfc3339
from agent.contract.inbound import Inbound
from tests.agent.outbox.rows import TOPICS

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)  # where a ManualClock begins
RESULT = "01930000-0000-7000-8000-000000000001"
MES = "mes/answers/1"


def request(**changes: object) -> bytes:
    """A replay that may run at NOW, with `changes`."""
    good = {
        "schema": "plumbline.command/1",
        "id": "c-1",
        "expires": rfc3339(NOW + timedelta(minutes=1)),
        "args": {"from_sequence": 5, "to_sequence": 9},
    }
    return json.dumps({**good, **changes}).encode()


def command(name: str = "replay", payload: bytes | None = None, **changes: object) -> Inbound:
    fields = {
        "topic": TOPICS.cmd(name),
        "payload": request() if payload is None else payload,
        "retained": False,
    }
    return Inbound(**{**fields, **changes})  # type: ignore[arg-type]


def allowed(topic: str) -> bool:
    return topic.startswith("mes/") and "#" not in topic and "+" not in topic
