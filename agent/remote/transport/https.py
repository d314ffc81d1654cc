"""A bundle from a web server: its files lie below one address, and each is asked for by ranges.

Nothing that the server says about a file is believed but for how much to wait for: the manifest's digest
decides. Proxies are not used.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from agent.address import masked
from agent.clock import Clock
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.remote.transport.addresses import address_of, file_below, redirected
from agent.remote.transport.paced import SLICE_S, Paced, PacedSocket
from agent.remote.transport.source import Beyond, Cancelled, Lost, Missing, Stretch, Unfit
from agent.settings.credentials import locate
from agent.settings.remote import Download

CONNECT_TIMEOUT_S = 10.0
REDIRECTS = 5
PIECE_BYTES = 64 * 1024
OVERHEAD_BYTES = 1024 * 1024  # of headers and chunk sizes, beside the content
LONGEST_ASKED_WAIT_S = 60.0  # other sources wait with it
_LATER = (408, 425, 429, 500, 502, 503, 504)
_LEADS_ON = (301, 302, 303, 307, 308)
_RANGE = re.compile(r"bytes (\d{1,16})-(\d{1,16})/(\d{1,16}|\*)")
_CLOCK_FAULTS = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


class Https:
    """The files of a bundle below `url`."""

    def __init__(self, url: str, terms: Download, clock: Clock) -> None:
        self._url = url
        self._terms = terms
        self._clock = clock
        self._tags: dict[str, str] = {}  # of each file, as it was when its first bytes came

    @property
    def name(self) -> str:
        return shown(masked(self._url))

    @contextmanager
    def visit(self, cancelled: Cancelled) -> Iterator[_HttpsVisit]:
        visit = _HttpsVisit(self._url, self._terms, self._clock, cancelled, self._tags)
        try:
            yield visit
        finally:
            visit.close()


class _HttpsVisit:
    """One connection for each file: a bundle has few."""

    def __init__(
        self, url: str, terms: Download, clock: Clock, cancelled: Cancelled, tags: dict[str, str]
    ) -> None:
        self._url = url
        self._terms = terms
        self._clock = clock
        self._cancelled = cancelled
        self._tags = tags
        self._connection: http.client.HTTPConnection | None = None
        self._open: socket.socket | None = None

    def stretch(self, name: str, offset: int, limit: int) -> Stretch:
        plain = self._terms.plain_http
        url = file_below(address_of(self._url, allows_plain=plain), name)
        tag = self._tags.get(name)
        asked = {"Range": f"bytes={offset}-"} if offset else {}
        if offset and tag is not None:
            asked["If-Range"] = tag
        for _ in range(REDIRECTS + 1):
            response = self._answer(url, asked, limit)
            if response.status not in _LEADS_ON:
                break
            url = redirected(
                url,
                response.getheader("Location"),
                allows_plain=plain,
                hosts=self._terms.redirect_hosts,
            )
        else:
            raise Unfit(f"{shown(name)}: leads on more than {REDIRECTS} times", 422)
        headers = {key.lower(): value for key, value in response.getheaders()}
        begins, size, content = accepted(response.status, headers, offset=offset, limit=limit, name=name)
        new_tag = headers.get("etag", "")
        if new_tag.startswith('"'):  # a weak one stands for other bytes, too
            self._tags[name] = new_tag
        return Stretch(begins=begins, size=size, pieces=_pieces(response, content, name))

    def close(self) -> None:
        if self._open is not None:
            with suppress(OSError):
                self._open.close()
            self._open = None

    def _answer(self, url: str, asked: Mapping[str, str], most_bytes: int) -> http.client.HTTPResponse:
        self.close()
        parts = urlsplit(url)
        host = parts.hostname or ""
        with _told():
            if parts.scheme == "https":
                connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                    host, parts.port, timeout=CONNECT_TIMEOUT_S, context=tls_context(self._terms)
                )
            else:
                connection = http.client.HTTPConnection(host, parts.port, timeout=CONNECT_TIMEOUT_S)
            connection.connect()
            reached: socket.socket = connection.sock
            self._open = reached
            reached.settimeout(SLICE_S)
            paced = Paced(
                reached,
                most_bytes=most_bytes + max(OVERHEAD_BYTES, most_bytes // 4),
                clock=self._clock,
                cancelled=self._cancelled,
            )
            connection.sock = PacedSocket(reached, paced)
            headers = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "plumbline"}
            target = parts._replace(scheme="", netloc="").geturl()
            connection.request("GET", target, headers={**headers, **asked})
            return connection.getresponse()


def accepted(
    status: int, headers: Mapping[str, str], *, offset: int, limit: int, name: str
) -> tuple[int, int | None, int | None]:
    """Where the bytes of an answer begin, how many the whole file has, and how many are to come.

    `headers` by their names in small letters. Raises Lost, Unfit.
    """
    place = shown(name)
    if status in _LATER:
        raise Lost(f"{place}: the server answers {status}", wait_s=_asked_wait_s(headers.get("retry-after")))
    if status in (404, 410):
        raise Missing(f"{place}: the server answers {status}")
    if status == 416 and offset:
        raise Beyond(f"{place}: the server has no more than {offset} bytes of it")
    if status not in (200, 206):
        raise Unfit(f"{place}: the server answers {status}", 403 if status in (401, 403) else 404)
    packed = headers.get("content-encoding", "identity").strip().lower()
    if packed != "identity":
        raise Unfit(f"{place}: comes packed by {shown(packed)[:40]}; serve files as they are", 422)
    length = headers.get("content-length", "")
    content = int(length) if re.fullmatch(r"\d{1,16}", length) else None
    if "transfer-encoding" in headers:
        content = None
    begins, size = 0, content
    if status == 206:
        found = _RANGE.fullmatch(headers.get("content-range", "").strip())
        if found is None or int(found[1]) != offset or int(found[2]) < offset:
            raise Unfit(f"{place}: the server answers with another range than was asked for", 422)
        begins, size = offset, None if found[3] == "*" else int(found[3])
        content = int(found[2]) - offset + 1
    if (size or 0) > limit or begins + (content or 0) > limit:
        raise Unfit(f"{place}: {size or content} bytes, and at most {limit} may come", 413)
    return begins, size, content


def tls_context(terms: Download) -> ssl.SSLContext:
    """TLS 1.2 or newer; the server's certificate is checked. Raises Unfit or a PlumblineError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if terms.ca_file is None:
        context.load_default_certs()
        return context
    key = "remote.download.ca_file"
    try:
        context.load_verify_locations(locate(terms.ca_file, key=key))
    except PlumblineError as error:
        raise Unfit(str(error), 500) from error
    except OSError as error:  # of OpenSSL, too
        raise Unfit(
            f"{key}: {shown(str(terms.ca_file))}: no certificates in PEM can be read there", 500
        ) from error
    return context


def _pieces(response: http.client.HTTPResponse, content: int | None, name: str) -> Iterator[bytes]:
    found = 0
    while content is None or found < content:
        with _told():
            piece = response.read(PIECE_BYTES if content is None else min(PIECE_BYTES, content - found))
        if not piece:
            break
        found += len(piece)
        yield piece
    if content is not None and found < content:
        raise Lost(f"{shown(name)}: the server closed after {found} of {content} bytes")


@contextmanager
def _told() -> Iterator[None]:
    """What went wrong on the way, in words."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        words = shown(error.verify_message)
        if error.verify_code in _CLOCK_FAULTS:
            raise Lost(
                f"its certificate is not good at this time by this machine's clock ({words})"
            ) from error
        raise Unfit(f"its certificate is not good ({words}); see remote.download.ca_file", 403) from error
    except http.client.InvalidURL as error:
        raise Unfit(f"is no address ({shown(str(error))})", 422) from error
    except OSError as error:
        raise Lost(f"cannot be reached ({_why(error)})") from error
    except http.client.IncompleteRead as error:
        raise Lost("the server closed within its answer") from error
    except http.client.HTTPException as error:
        raise Lost(f"what answers there does not speak HTTP ({_why(error)[:80]})") from error
    except UnicodeError as error:
        raise Unfit("is no address: its host has no such form", 422) from error


def _why(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else None
    return shown(reason or str(error) or type(error).__name__)[:200]


def _asked_wait_s(text: str | None) -> float:
    """Seconds only; a date would need a clock that is right."""
    seconds = int(text) if text is not None and re.fullmatch(r"\d{1,6}", text.strip()) else 0
    return min(float(seconds), LONGEST_ASKED_WAIT_S)
