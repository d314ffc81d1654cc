"""Webhook: each record as one HTTP POST, CloudEvents 1.0 in binary mode, signed as in Standard Webhooks.

The body is the record's payload as it is: the JSON of a verdict or event, the bytes of a picture.
Its attributes are `ce-` headers; a crop's properties are extension attributes, whose names have no
underscores (`ce-resultid`, `ce-cropid`, `ce-defectindex`, `ce-sha256`, `ce-bbox`).

With a secret, `webhook-id` (the record's id), `webhook-timestamp` (seconds) and `webhook-signature`
("v1," and base64 of HMAC-SHA256 over id.timestamp.body) let the receiver tell who sent it and when.
A record may arrive more than once: receivers de-duplicate on `webhook-id`.

Not covered: proxies, redirects (a redirect is a failure), login other than by signature, and a receiver
that drips its answer byte by byte, each within `timeout_s`: it holds this gateway, and no other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import socket
import ssl
from collections.abc import Sequence
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

from agent import credentials
from agent.clock import Clock
from agent.errors import out_of_room
from agent.gateway_settings import WebhookGateway
from agent.gateways.gateway import GatewayError, Unacceptable
from agent.uplink.row import Row, Waiting

NEVER = frozenset({400, 413, 415, 422})  # the receiver has looked at the record and will not have it
ANSWER_BYTES = 4096
QUOTED_CHARACTERS = 200
LONGEST_PAUSE_S = 900.0
SECRET_PREFIX = "whsec_"  # noqa: S105 (it marks a secret)
SECRET_BYTES = range(24, 65)


class WebhookSink:
    """One connection, kept open for as long as it lasts."""

    rows_at_a_time = 1

    def __init__(self, settings: WebhookGateway, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        parts = urlsplit(settings.url)
        self._place = f"{parts.scheme}://{parts.netloc}{parts.path}"  # a query may hold a token
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._secret: bytes | None = None
        self._connection: http.client.HTTPConnection | None = None

    def open(self) -> None:
        settings = self._settings
        self._secret = None if settings.secret_file is None else read_secret(settings.secret_file)
        parts = urlsplit(settings.url)
        try:
            host, port = parts.hostname or "", parts.port
            if parts.scheme == "http":
                self._connection = http.client.HTTPConnection(host, port, timeout=settings.timeout_s)
            else:
                self._connection = http.client.HTTPSConnection(
                    host, port, timeout=settings.timeout_s, context=_trusting(settings.ca_file)
                )
        except (ValueError, http.client.InvalidURL) as error:
            raise GatewayError(f"{self._place}: not an address ({error}); check url") from error

    def deliver(self, rows: Sequence[Waiting]) -> None:
        for waiting in rows:
            self._deliver(waiting)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _deliver(self, waiting: Waiting) -> None:
        try:
            headers = self._headers(waiting.row)
            status, pause, answer = self._exchange(waiting.row.payload, headers)
        except (OSError, http.client.HTTPException) as error:
            raise GatewayError(f"{self._place}: {_explained(error)}") from error
        except ValueError as error:
            raise Unacceptable(waiting, f"it cannot stand in headers: {error}") from error
        if 200 <= status < 300:
            return
        said = f"{self._place}: it answered {status} {answer}".rstrip()
        if status in NEVER:
            raise Unacceptable(waiting, said)
        pause_s = retry_after_s(pause, self._clock.utc_now())
        raise GatewayError(f"{said}; see the receiver's log", retry_after_s=pause_s)

    def _headers(self, row: Row) -> dict[str, str]:
        headers = {"Content-Type": row.content_type, "webhook-id": row.id, **cloud_event_headers(row)}
        seconds = int(self._clock.utc_now().timestamp())
        headers["webhook-timestamp"] = str(seconds)
        if self._secret is not None:
            headers["webhook-signature"] = signature(self._secret, row.id, seconds, row.payload)
        return headers

    def _exchange(self, body: bytes, headers: dict[str, str]) -> tuple[int, str | None, str]:
        """Status, Retry-After and the beginning of the answer."""
        connection = self._connection
        assert connection is not None
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
        answer = response.read(ANSWER_BYTES)
        if not response.isclosed():  # more than anybody needs to read
            response.close()
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
    if header.strip().isdigit():
        return min(float(header), LONGEST_PAUSE_S)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
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
