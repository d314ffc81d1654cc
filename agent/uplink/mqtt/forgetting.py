"""How a session is left behind in MQTT 3.1.1, with all that waits in it.

One that is to be kept cannot begin anew there; one that is not to be kept clears its place.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.contract.topics import TOPICS
from agent.settings.settings import Mqtt
from agent.uplink.mqtt.connection import Connection
from agent.uplink.mqtt.terms import Terms


def forget_session(settings: Mqtt, client_id: str, keeps_waiting: Callable[[], bool], turn_s: float) -> None:
    """Connect once for a session that is not kept, and leave. Raises what `Connection` raises."""
    cleared = Connection(
        settings,
        number=0,
        protocol="3.1.1",
        client_id=client_id,
        terms=Terms(will=False, fresh=True),
        on_ack=lambda *_: None,
        on_message=lambda _: None,
    )
    try:
        cleared.open(will_topic="", last_will=b"", will=TOPICS["status"])
        while cleared.answer is None and cleared.turn(turn_s) and keeps_waiting():
            pass
        if cleared.accepted:
            cleared.hang_up()
    finally:
        cleared.drop()
