"""The embedded broker of the demo: rumqttd out of the `iotcore` wheel, as a child process.

MQTT 5 only, on loopback only, nothing on disk, no passwords: for looking at, not for a plant.
The child lives on a pipe from us and ends when that closes, however we end.
"""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import iotcore

from agent.errors import PlumblineError

HOST = "127.0.0.1"
MAXIMUM_PAYLOAD_BYTES = 1_048_576
START_TIMEOUT_S = 20.0

# MQTT 5 exists only by configuration file; iotcore's own default listens on every interface.
# Each topic filter keeps up to segments x size in memory, which bounds a long demo.
_CONFIGURATION = """
id = 0
[router]
id = 0
max_connections = 64
max_outgoing_packet_count = 200
max_segment_size = 2097152
max_segment_count = 8
[v5.1]
name = "plumbline"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = {maximum_payload_bytes}
max_inflight_count = 100
dynamic_filters = true
"""

# CONNECT: MQTT, version 5, clean start, keep-alive 10 s, no properties, client id "probe"
_CONNECT = bytes.fromhex("1012 0004 4d515454 05 02 000a 00 0005 70726f6265")
_DISCONNECT = bytes.fromhex("e000")
_CONNACK = 0x20


class BrokerError(PlumblineError):
    """The embedded broker cannot run; the text names the port and the remedy."""


class EmbeddedBroker:
    """A broker for this process and its neighbours; port 0 takes a free one at start."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._broker: iotcore.Broker | None = None

    def start(self) -> None:
        """Returns when the broker answers a CONNECT. Raises BrokerError."""
        if self.port == 0:
            self.port = _free_port()
        text = _CONFIGURATION.format(host=HOST, port=self.port, maximum_payload_bytes=MAXIMUM_PAYLOAD_BYTES)
        with tempfile.TemporaryDirectory(prefix="plumbline-broker-") as folder:
            path = Path(folder) / "rumqttd.toml"
            path.write_text(text, encoding="utf-8")
            broker = iotcore.Broker(config_path=str(path))
            try:
                broker.start(timeout=START_TIMEOUT_S)
                _shake_hands(self.port)
            except OSError as error:
                broker.stop()
                raise BrokerError(
                    f"{HOST}:{self.port}: the port is taken ({error}); "
                    "choose another one or stop the program that has it"
                ) from error
            except RuntimeError as error:
                raise BrokerError(
                    f"{HOST}:{self.port}: the embedded broker did not start ({error})"
                ) from error
        self._broker = broker

    def stop(self) -> None:
        if self._broker is not None:
            self._broker.stop()
            self._broker = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _shake_hands(port: int) -> None:
    """Raises OSError when what listens at `port` does not answer like an MQTT 5 broker."""
    with socket.create_connection((HOST, port), timeout=START_TIMEOUT_S) as connection:
        connection.sendall(_CONNECT)
        if connection.recv(1) != bytes([_CONNACK]):
            raise OSError(f"whatever listens on port {port} does not speak MQTT 5")
        connection.sendall(_DISCONNECT)
