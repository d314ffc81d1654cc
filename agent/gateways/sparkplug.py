"""Sparkplug B 3.0: the station as an edge node, its cameras and part rules as devices, the latest verdict of
each as metrics. The device of part rule `housing` is `part:housing`.

It mirrors current values and is no lossless path: DDATA travels once and unacknowledged, as
Sparkplug has it. Births tell everything again after each connect and on "Node Control/Rebirth".

All of paho runs in the gateway's thread: its loop is turned by `deliver`, at least once a second, so no
callback meets another thread. Not covered: aliases, device commands, several brokers, MQTT 5.

With a primary host nothing is published until that host says on its STATE topic that it is online. When
it goes, the node dies and begins again, and rows wait: what was told between the host's end and the
broker's word of it is told again by the births.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from agent.clock import Clock
from agent.contract.part import PartVerdict
from agent.contract.row import Waiting
from agent.contract.verdict import Verdict
from agent.errors import out_of_room
from agent.gateways.gateway import GatewayError
from agent.gateways.latest import batch, created
from agent.gateways.sparkplug_host import HostState, heard
from agent.gateways.sparkplug_payload import REBIRTH, DataType, Metric, asks_for_rebirth, encode
from agent.settings.credentials import CredentialError, read_secret
from agent.settings.gateways import SparkplugGateway

NAMESPACE = "spBv1.0"
ANSWER_S = 5.0
TURN_S = 0.05
KEEPALIVE_S = 20


def camera_metrics(verdict: Verdict | None, now_ms: int) -> list[Metric]:
    """What a device tells: all of it null before the first verdict."""
    at_ms = now_ms if verdict is None else _milliseconds(created(verdict))
    score = None if verdict is None else verdict.score
    known = {} if verdict is None else verdict.model_dump()
    table = (
        ("ResultId", DataType.STRING, known.get("result_id")),
        ("Verdict", DataType.STRING, known.get("verdict")),
        ("ResultEvaluation", DataType.INT32, known.get("result_evaluation_code")),
        ("CreationTime", DataType.DATETIME, None if verdict is None else at_ms),
        ("Sequence", DataType.UINT64, known.get("sequence")),
        ("Score", DataType.DOUBLE, None if score is None else score.raw),
        ("Threshold", DataType.DOUBLE, None if score is None else score.threshold),
        ("IsPartial", DataType.BOOLEAN, known.get("is_partial")),
        ("IsSimulated", DataType.BOOLEAN, known.get("is_simulated")),
        ("PartId", DataType.STRING, known.get("part_id")),
        ("JobId", DataType.STRING, known.get("job_id")),
    )
    return [Metric(name=name, type=type_, value=value, timestamp_ms=at_ms) for name, type_, value in table]


def part_metrics(part: PartVerdict | None, now_ms: int) -> list[Metric]:
    """What the device of a part rule tells: all of it null before the first part verdict."""
    at_ms = now_ms if part is None else _milliseconds(created(part))
    known = {} if part is None else part.model_dump()
    table = (
        ("ResultId", DataType.STRING, known.get("result_id")),
        ("Verdict", DataType.STRING, known.get("verdict")),
        ("ResultEvaluation", DataType.INT32, known.get("result_evaluation_code")),
        ("Reason", DataType.STRING, known.get("reason")),
        ("CreationTime", DataType.DATETIME, None if part is None else at_ms),
        ("Sequence", DataType.UINT64, known.get("sequence")),
        ("IsPartial", DataType.BOOLEAN, known.get("is_partial")),
        ("IsSimulated", DataType.BOOLEAN, known.get("is_simulated")),
        ("PartId", DataType.STRING, known.get("part_id")),
        ("JobId", DataType.STRING, known.get("job_id")),
        ("Missing", DataType.STRING, None if part is None else ",".join(part.missing)),
    )
    return [Metric(name=name, type=type_, value=value, timestamp_ms=at_ms) for name, type_, value in table]


class SparkplugSink:
    """One connection from `open` to `close`, and one edge node session on it."""

    rows_at_a_time = 64

    def __init__(
        self,
        settings: SparkplugGateway,
        *,
        edge: str,
        cameras: Sequence[str],
        rules: Sequence[str],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._place = f"{settings.host}:{settings.port}"
        self._edge = edge
        self._clock = clock
        self._verdicts: dict[str, Verdict | None] = dict.fromkeys(cameras)
        self._parts: dict[str, PartVerdict | None] = dict.fromkeys(rules)
        # A start at 0 would let the death of the process before this one end the session of this one.
        self._birth_death = int(clock.utc_now().timestamp()) % 256
        self._seq = 0
        self._client: paho.Client | None = None
        self._answer: ReasonCode | None = None
        self._subscribed = False
        self._rebirth = False
        self._born = False
        self._host = HostState()

    def open(self) -> None:
        self._birth_death = (self._birth_death + 1) % 256
        self._answer, self._subscribed, self._rebirth, self._born = None, False, False, False
        self._host = HostState()  # a broker that we come to tells what it has retained
        client = self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{self._edge}-sparkplug",
            clean_session=True,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
        )
        client.suppress_exceptions = True
        client.connect_timeout = ANSWER_S
        client.on_connect = self._connected
        client.on_subscribe = self._heard_of_subscription
        client.on_message = self._heard
        settings = self._settings
        try:
            if settings.username is not None:
                client.username_pw_set(settings.username, self._password())
            if settings.tls:
                _trust(client, settings.ca_file)
            client.will_set(self._topic("NDEATH"), self._death(), qos=1, retain=False)
            client.connect(settings.host, settings.port, KEEPALIVE_S)
        except CredentialError as error:
            raise GatewayError(str(error)) from error
        except ssl.SSLCertVerificationError as error:
            raise GatewayError(
                f"{self._place}: its certificate is not trusted ({error.verify_message}); check ca_file"
            ) from error
        except (OSError, ValueError) as error:
            reason = out_of_room(error) if isinstance(error, OSError) else None
            if reason is not None:
                raise GatewayError(f"{self._place}: {reason}") from error
            raise GatewayError(
                f"{self._place}: no connection ({error}); check host, port, tls and that the broker runs"
            ) from error
        silence = f"no answer in {ANSWER_S:g} s; check host, port and tls"
        self._await(client, lambda: self._subscribed, silence)
        self._await(client, self._host_is_there, self._away())
        self._be_born(client)

    def deliver(self, rows: Sequence[Waiting]) -> None:
        client = self._client
        assert client is not None
        found = batch(rows)
        shown = {name: one for name, one in found.of_cameras().items() if name in self._verdicts}
        parts = {rule: one for rule, one in found.of_rules().items() if rule in self._parts}
        self._verdicts.update(shown)
        self._parts.update(parts)
        self._turn(client, 0.0)
        if not self._host_is_there():
            raise GatewayError(f"{self._place}: {self._away()}")
        if self._rebirth:
            self._rebirth = False
            self._be_born(client)
        else:
            now_ms = self._now_ms()
            for name, verdict in shown.items():
                self._publish(client, "DDATA", camera_metrics(verdict, now_ms), name)
            for rule, part in parts.items():
                self._publish(client, "DDATA", part_metrics(part, now_ms), _device(rule))
        if found.refusal is not None:
            raise found.refusal

    def close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        client.on_connect = client.on_subscribe = client.on_message = None
        if client.is_connected():
            if self._born:  # a clean goodbye takes the will back, so the death is told before it
                client.publish(self._topic("NDEATH"), self._death(), qos=0)
            client.disconnect()
            client.loop(TURN_S)

    def _await(self, client: paho.Client, done: Callable[[], bool], otherwise: str) -> None:
        """Let paho work until `done`. Raises GatewayError with `otherwise` when that takes too long."""
        end_ns = self._clock.monotonic_ns() + round(ANSWER_S * 1e9)
        while not done():
            self._turn(client, TURN_S)
            if self._clock.monotonic_ns() > end_ns:
                raise GatewayError(f"{self._place}: {otherwise}")

    def _host_is_there(self) -> bool:
        return self._settings.primary_host is None or self._host.online

    def _away(self) -> str:
        host = self._settings.primary_host
        return f"primary host {host} is not online; start it, or check primary_host"

    def _be_born(self, client: paho.Client) -> None:
        """NBIRTH, which starts the count of messages afresh, and a DBIRTH for each camera and part rule."""
        self._seq, self._born = 0, True
        now_ms = self._now_ms()
        control = Metric(name=REBIRTH, type=DataType.BOOLEAN, value=False, timestamp_ms=now_ms)
        self._publish(client, "NBIRTH", [self._session(now_ms), control])
        for name, verdict in self._verdicts.items():
            self._publish(client, "DBIRTH", camera_metrics(verdict, now_ms), name)
        for rule, part in self._parts.items():
            self._publish(client, "DBIRTH", part_metrics(part, now_ms), _device(rule))

    def _publish(self, client: paho.Client, kind: str, metrics: Sequence[Metric], device: str = "") -> None:
        payload = encode(metrics, timestamp_ms=self._now_ms(), seq=self._seq)
        said = client.publish(self._topic(kind, device), payload, qos=0, retain=False)
        if said.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._lost(said.rc)
        self._seq = (self._seq + 1) % 256

    def _turn(self, client: paho.Client, timeout_s: float) -> None:
        """Let paho read and write. Raises GatewayError when the connection has ended or was refused."""
        code = client.loop(timeout_s)
        if self._answer is not None and self._answer.is_failure:
            raise GatewayError(
                f"{self._place}: the broker refused us ({self._answer}); check username and password_file"
            )
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._lost(code)

    def _lost(self, code: MQTTErrorCode) -> GatewayError:
        return GatewayError(
            f"{self._place}: connection lost ({paho.error_string(code)}); check the network, "
            f"and that no other client is called {self._edge}-sparkplug"
        )

    def _topic(self, kind: str, device: str = "") -> str:
        node = f"{NAMESPACE}/{self._settings.group}/{kind}/{self._edge}"
        return f"{node}/{device}" if device else node

    def _session(self, now_ms: int) -> Metric:
        return Metric(name="bdSeq", type=DataType.INT64, value=self._birth_death, timestamp_ms=now_ms)

    def _death(self) -> bytes:
        now_ms = self._now_ms()
        return encode([self._session(now_ms)], timestamp_ms=now_ms, seq=None)

    def _now_ms(self) -> int:
        return _milliseconds(self._clock.utc_now())

    def _password(self) -> str | None:
        path = self._settings.password_file
        return None if path is None else read_secret(path, key="password_file")

    def _connected(
        self, client: paho.Client, userdata: Any, flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        self._answer = reason
        if not reason.is_failure:
            client.subscribe([(topic, 1) for topic in (self._topic("NCMD"), *self._host_topics())])

    def _heard_of_subscription(self, *_: Any) -> None:
        self._subscribed = True

    def _heard(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        with contextlib.suppress(ValueError):  # whoever sends nonsense is not answered
            if message.topic in self._host_topics():
                self._host = heard(self._host, payload)
            else:
                self._rebirth = self._rebirth or asks_for_rebirth(payload)

    def _host_topics(self) -> tuple[str, ...]:
        host = self._settings.primary_host
        return () if host is None else (f"{NAMESPACE}/STATE/{host}",)


def _device(rule: str) -> str:
    return f"part:{rule}"  # no camera's name has a colon


def _trust(client: paho.Client, ca_file: Path | None) -> None:
    try:
        client.tls_set(ca_certs=None if ca_file is None else str(ca_file))
    except (OSError, ValueError) as error:  # apart from the network's: nothing has been reached yet
        raise GatewayError(
            f"ca_file: {ca_file}: not usable as certificates ({error}); check ca_file"
        ) from error


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
