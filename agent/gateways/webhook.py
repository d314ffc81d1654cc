"""Webhook: each record as one HTTP POST, CloudEvents 1.0 in binary mode, signed as in Standard Webhooks.

The body is the record's payload as it is: the JSON of a verdict, event or mark, the bytes of a picture.
Its attributes are `ce-` headers; a crop's properties are extension attributes, whose names have no
underscores (`ce-resultid`, `ce-cropid`, `ce-defectindex`, `ce-sha256`, `ce-bbox`, `ce-chain`).

With a secret, `webhook-id` (the record's id), `webhook-timestamp` (seconds) and `webhook-signature`
("v1," and base64 of HMAC-SHA256 over id.timestamp.body) let the receiver tell who sent it and when.
A record may arrive more than once: receivers de-duplicate on `webhook-id`.

A receiver that works gets up to LANES records at once, and one that it fails to take is tried again by
itself while others pass: a record may arrive up to ROWS - 1 places late, and `sequence` in a verdict is its
order. A receiver that took none of the last ones gets one at a time, with the pauses of every gateway.

Not covered: proxies, redirects (a redirect is a failure) and login other than by signature.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import socket
import ssl
import threading
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

from agent.clock import Clock
from agent.contract.payloads import told
from agent.contract.row import Row, Waiting
from agent.errors import out_of_room
from agent.gateways.gateway import GatewayError, Unacceptable
from agent.gateways.health import Health
from agent.gateways.timely import TimelyResponse
from agent.settings import credentials
from agent.settings.gateways import WebhookGateway

NEVER = frozenset(
    {400, 409, 413, 415, 422, 431}
)  # the receiver has looked at the record and will not have it
PASSING = frozenset({408, 425, 429, *range(500, 600)})  # another try may well succeed
ROWS = 8
LANES = 4
TRIES = 6  # of a row, before the whole gateway pauses
ANSWER_BYTES = 4096
QUOTED_CHARACTERS = 200
LONGEST_PAUSE_S = 900.0
SECRET_PREFIX = "whsec_"  # noqa: S105 (it marks a secret)
SECRET_BYTES = range(24, 65)


class _Failed(GatewayError):
    """A row was not taken; `passing` where another try may succeed without anybody's help."""

    def __init__(self, message: str, *, passing: bool, retry_after_s: float = 0.0) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.passing = passing


class _Batch:
    """Rows on their way over several connections, and what became of each."""

    def __init__(self, rows: Sequence[Waiting]) -> None:
        self.waiting = deque(rows)
        self.taken: set[int] = set()
        self.unacceptable: dict[int, Unacceptable] = {}
        self.failed: dict[int, _Failed] = {}
        self.gave_up: _Failed | None = None  # nothing more is to be tried now
        self.bug: Exception | None = None

    def next(self) -> Waiting | None:
        """The next row for a lane; None when the lane may stop."""
        if self.gave_up is not None or self.bug is not None:
            return None
        try:
            return self.waiting.popleft()
        except IndexError:
            return None


class WebhookSink:
    """A few connections, kept open for as long as they last."""

    rows_at_a_time = ROWS

    def __init__(self, settings: WebhookGateway, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        parts = urlsplit(settings.url)
        self._place = f"{parts.scheme}://{parts.netloc}"  # path and query may be a token
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._secret: bytes | None = None
        self._connections: list[http.client.HTTPConnection] = []
        self._health = Health()
        self._taken: set[int] = set()  # behind a row that was not

    def open(self) -> None:
        settings = self._settings
        self._secret = None if settings.secret_file is None else read_secret(settings.secret_file)
        parts = urlsplit(settings.url)
        try:
            host, port = parts.hostname or "", parts.port
            if parts.scheme == "http":
                self._connections = [
                    http.client.HTTPConnection(host, port, timeout=settings.timeout_s) for _ in range(LANES)
                ]
            else:
                context = _trusting(settings.ca_file)
                self._connections = [
                    http.client.HTTPSConnection(host, port, timeout=settings.timeout_s, context=context)
                    for _ in range(LANES)
                ]
        except (ValueError, http.client.InvalidURL) as error:
            raise GatewayError(f"{self._place}: not an address ({error}); check url") from error
        for connection in self._connections:
            connection.response_class = TimelyResponse

    @property
    def tries_failed(self) -> int:
        """Of single rows."""
        return self._health.failures

    def deliver(self, rows: Sequence[Waiting]) -> None:
        batch = _Batch([one for one in rows if one.seq not in self._taken])
        if self._health.share() == 0:  # nothing is known of it, or nothing good
            self._work(self._connections[0], batch, at_most=1)
        lanes = [
            threading.Thread(target=self._work, args=(connection, batch), name="webhook", daemon=True)
            for connection in self._connections[1 : len(batch.waiting)]
        ]
        for lane in lanes:
            lane.start()
        self._work(self._connections[0], batch)
        for lane in lanes:
            lane.join()
        if batch.bug is not None:
            raise batch.bug
        self._taken |= batch.taken
        self._settle(rows, batch)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections = []

    def _settle(self, rows: Sequence[Waiting], batch: _Batch) -> None:
        """Raise what the first row that was not taken has met."""
        passed = 0
        for one in rows:
            if one.seq in self._taken:
                self._taken.discard(one.seq)
                passed = one.seq
                continue
            reason = batch.unacceptable.get(one.seq)
            if reason is not None:
                raise reason
            error = batch.failed.get(one.seq) or batch.gave_up
            assert error is not None
            raise GatewayError(
                str(error), taken=passed, retry_after_s=error.retry_after_s, progressed=bool(batch.taken)
            )

    def _work(
        self, connection: http.client.HTTPConnection, batch: _Batch, at_most: int | None = None
    ) -> None:
        """One lane: rows of the batch in their order, until none is left or the receiver takes none."""
        try:
            while at_most != 0 and (one := batch.next()) is not None:
                self._persist(connection, one, batch)
                at_most = None if at_most is None else at_most - 1
        except Exception as error:  # for the gateway's thread to raise
            batch.bug = error

    def _persist(self, connection: http.client.HTTPConnection, waiting: Waiting, batch: _Batch) -> None:
        for _ in range(TRIES):
            try:
                self._deliver(connection, waiting)
            except Unacceptable as error:
                self._health.note(taken=True)  # the receiver works, it is this row
                batch.unacceptable[waiting.seq] = error
                return
            except _Failed as error:
                self._health.note(taken=False)
                batch.failed[waiting.seq] = error
                connection.close()
                pause_s = self._health.pause_s()
                if pause_s is None or not error.passing or error.retry_after_s:
                    batch.gave_up = error
                if batch.gave_up is not None or pause_s is None:
                    return
                self._clock.sleep(pause_s)
            else:
                self._health.note(taken=True)
                batch.failed.pop(waiting.seq, None)
                batch.taken.add(waiting.seq)
                return

    def _deliver(self, connection: http.client.HTTPConnection, waiting: Waiting) -> None:
        try:
            row = told(waiting)
            status, pause, answer = self._exchange(connection, row.payload, self._headers(row))
        except (OSError, http.client.HTTPException) as error:
            passing = isinstance(error, ConnectionError | http.client.HTTPException)
            raise _Failed(f"{self._place}: {_explained(error)}", passing=passing) from error
        except ValueError as error:
            raise Unacceptable(waiting, f"it cannot stand in headers: {error}") from error
        if 200 <= status < 300:
            return
        said = f"{self._place}: it answered {status} {answer}".rstrip()
        if status in NEVER:
            raise Unacceptable(waiting, said)
        pause_s = retry_after_s(pause, self._clock.utc_now())
        words = f"{said}; see the receiver's log"
        raise _Failed(words, passing=status in PASSING, retry_after_s=pause_s)

    def _headers(self, row: Row) -> dict[str, str]:
        headers = {"Content-Type": row.content_type, "webhook-id": row.id, **cloud_event_headers(row)}
        seconds = int(self._clock.utc_now().timestamp())
        headers["webhook-timestamp"] = str(seconds)
        if self._secret is not None:
            headers["webhook-signature"] = signature(self._secret, row.id, seconds, row.payload)
        return headers

    def _exchange(
        self, connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]
    ) -> tuple[int, str | None, str]:
        """Status, Retry-After and the beginning of the answer."""
        kept = connection.sock is not None
        try:
            connection.request("POST", self._target, body, headers)
            response = connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            connection.close()
            if not kept:
                raise
            # A connection that was idle had been closed at the other end, which says nothing of the receiver.
            connection.request("POST", self._target, body, headers)
            response = connection.getresponse()
        with response:
            answer = response.read(ANSWER_BYTES)
            rest = not response.isclosed()
        if rest:  # more than anybody needs to read
            connection.close()
        said = answer[:QUOTED_CHARACTERS].decode(errors="replace")
        printable = "".join(one if one.isprintable() else " " for one in said).strip()
        return response.status, response.headers.get("Retry-After"), printable


def cloud_event_headers(row: Row) -> dict[str, str]:
    """The row's properties as headers of the CloudEvents HTTP binding 1.0.2, section 3.1.3."""
    attributes = {name.replace("_", ""): value for name, value in row.properties}
    return {f"ce-{name}": quote(value, safe=_UNQUOTED) for name, value in attributes.items()}


# Printable ASCII but space, double quote and percent.
_UNQUOTED = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


def signature(secret: bytes, id_: str, seconds: int, body: bytes) -> str:
    """The `webhook-signature` header of Standard Webhooks, symmetric."""
    signed = hmac.new(secret, f"{id_}.{seconds}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed.digest()).decode()}"


def read_secret(path: Path) -> bytes:
    """The secret in `path`, as Standard Webhooks writes it. Raises GatewayError."""
    try:
        text = credentials.read_secret(path, key="secret_file").strip()
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except credentials.CredentialError as error:
        raise GatewayError(str(error)) from error
    except ValueError:  # not base64, or not even ASCII
        text, secret = "", b""
    if not text.startswith(SECRET_PREFIX) or len(secret) not in SECRET_BYTES:
        raise GatewayError(
            f"{path}: no secret in it; write {SECRET_PREFIX} and 24 to 64 random bytes in base64"
        )
    return secret


def retry_after_s(header: str | None, now: datetime) -> float:
    """The pause that a Retry-After header asks for, at most LONGEST_PAUSE_S; 0 without a sensible one."""
    if header is None:
        return 0.0
    if header.isascii() and (seconds := header.strip()).isdigit():
        return min(float(seconds), LONGEST_PAUSE_S)
    try:
        at = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return 0.0
    if at.tzinfo is None:
        at = at.replace(tzinfo=timezone.utc)
    return min(max((at - now).total_seconds(), 0.0), LONGEST_PAUSE_S)


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise GatewayError(f"{ca_file}: not usable as certificates ({error}); check ca_file") from error


def _explained(error: Exception) -> str:
    match error:
        case socket.gaierror():
            return f"the name does not resolve ({error.strerror}); check url and DNS"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message}); check ca_file"
        case ssl.SSLError():
            return f"no TLS there ({error.reason}); check url and ca_file"
        case ConnectionRefusedError():
            return "connection refused; check url and that the receiver runs"
        case TimeoutError():
            return "no answer in time; check url, network and timeout_s"
        case OSError() if (reason := out_of_room(error)) is not None:
            return reason
        case _:
            return f"the exchange broke off ({error or type(error).__name__}); see the receiver's log"
