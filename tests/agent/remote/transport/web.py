"""A web server on a real socket that serves a folder by ranges, and lies on cue."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Asked:
    path: str
    headers: dict[str, str]

    @property
    def begins(self) -> int:
        """Of the range, 0 without one."""
        return int(self.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))


@dataclass(kw_only=True)
class Web:
    """`lie` may answer in the place of an honest server: it returns True where it has."""

    root: Path
    port: int
    scheme: str
    lie: Callable[[Asked, socket.socket, Web], bool] = lambda asked, connection, web: False
    asked: list[Asked] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    served_bytes: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://{HOST}:{self.port}/bundle"

    def content(self, asked: Asked) -> bytes | None:
        name = asked.path.removeprefix("/bundle/")
        path = self.root / name
        return path.read_bytes() if path.is_file() else None

    def honest(self, asked: Asked, connection: socket.socket) -> None:
        content = self.content(asked)
        if content is None:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        tag, begins = tag_of(content), asked.begins
        if begins and asked.headers.get("if-range", tag) != tag:
            begins = 0
        elif begins >= len(content) and begins:
            connection.sendall(b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n")
            return
        lines = [f"ETag: {tag}", f"Content-Length: {len(content) - begins}"]
        if begins:
            lines.append(f"Content-Range: bytes {begins}-{len(content) - 1}/{len(content)}")
        self.say(connection, 206 if begins else 200, lines, content[begins:])

    def say(self, connection: socket.socket, status: int, lines: list[str], content: bytes = b"") -> None:
        head = "\r\n".join((f"HTTP/1.1 {status} Yes", *lines))
        connection.sendall(f"{head}\r\n\r\n".encode())
        connection.sendall(content)
        self.served_bytes += len(content)

    def until_stopped(self, step: Callable[[], None], pause_s: float = 0.0) -> None:
        with suppress(OSError):
            while not self.stopping.is_set():
                step()
                time.sleep(pause_s)


def tag_of(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


@contextmanager
def serving(root: Path, certificate: tuple[Path, Path] | None = None) -> Iterator[Web]:
    """One thread for each connection; all have ended when the block has."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(0.05)
        port = listener.getsockname()[1]
        web = Web(root=root, port=port, scheme="http" if context is None else "https")
        talks: list[threading.Thread] = []
        accepting = threading.Thread(target=_accept, args=(web, listener, context, talks))
        accepting.start()
        try:
            yield web
        finally:
            web.stopping.set()
            accepting.join()
            for talk in talks:
                talk.join()


def _accept(
    web: Web, listener: socket.socket, context: ssl.SSLContext | None, talks: list[threading.Thread]
) -> None:
    while not web.stopping.is_set():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        talks.append(threading.Thread(target=_talk, args=(web, connection, context)))
        talks[-1].start()


def _talk(web: Web, connection: socket.socket, context: ssl.SSLContext | None) -> None:
    connection.settimeout(10)
    with suppress(OSError, ValueError), connection:
        if context is None:
            _answer(web, connection)
            return
        with context.wrap_socket(connection, server_side=True) as safe:
            _answer(web, safe)
            with suppress(OSError):
                safe.unwrap()


def _answer(web: Web, connection: socket.socket) -> None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(4096)
        if not piece:
            return
        head += piece
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if line)
    asked = Asked(path=first.split(" ")[1], headers=headers)
    web.asked.append(asked)
    if not web.lie(asked, connection, web):
        web.honest(asked, connection)
