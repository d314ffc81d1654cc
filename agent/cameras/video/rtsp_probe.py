"""What an RTSP server says to one DESCRIBE, because OpenCV does not tell why it got no video.

Basic and Digest (MD5) authentication, RFC 2617 as RFC 2326 uses it. Plain TCP only.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
from urllib.parse import unquote, urlsplit

PORT = 554
ANSWER_BYTES = 16_384


def describe(url: str, timeout_s: float) -> int | None:
    """The status of its answer, given user and password where it asks for them; None when there is none."""
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    try:
        with socket.create_connection((parts.hostname or "", parts.port or PORT), timeout_s) as server:
            server.settimeout(timeout_s)
            status, answer = _ask(server, bare, 1, None)
            if status == 401 and parts.username is not None:
                user, password = unquote(parts.username), unquote(parts.password or "")
                status, _ = _ask(server, bare, 2, authorization(answer, bare, user, password))
            return status
    except (OSError, ValueError):
        return None


def authorization(challenges: str, url: str, user: str, password: str) -> str | None:
    """The header's value for the strongest challenge that is understood."""
    digest = re.search(r"(?im)^WWW-Authenticate:\s*Digest\s+(.*)$", challenges)
    if digest:
        asked = dict(re.findall(r'(\w+)="([^"]*)"', digest[1]))
        realm, nonce = asked.get("realm", ""), asked.get("nonce", "")
        answer = _md5(f"{_md5(f'{user}:{realm}:{password}')}:{nonce}:{_md5(f'DESCRIBE:{url}')}")
        return f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{url}", response="{answer}"'
    if re.search(r"(?im)^WWW-Authenticate:\s*Basic", challenges):
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return None


def _ask(server: socket.socket, url: str, number: int, credentials: str | None) -> tuple[int, str]:
    lines = [f"DESCRIBE {url} RTSP/1.0", f"CSeq: {number}", "Accept: application/sdp"]
    lines += [f"Authorization: {credentials}"] if credentials else []
    server.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < ANSWER_BYTES:
        data = server.recv(4096)
        if not data:
            break
        answer += data
    head = answer.decode("latin-1")
    status = re.match(r"RTSP/1\.\d (\d{3})", head)
    if status is None:
        raise ValueError("no RTSP")
    return int(status[1]), head


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
