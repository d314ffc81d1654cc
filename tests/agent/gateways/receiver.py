"""A real HTTP server that answers as it is told and keeps all that it was sent."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    path: str
    headers: dict[str, str]  # lower-case names
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang_up: bool = False  # after the request was read, instead of an answer
    wait: threading.Event | None = None  # before it answers


@dataclass
class Receiver:
    """`answers` are given one by one, then 204 for ever."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    connections: int = 0
    refuses: Callable[[Request], bool] = lambda request: False  # with 503, whatever `answers` say
    delay_s: float = 0.0  # before each answer
    most_at_once: int = 0
    lasting: bool = True  # False: closes every connection after its answer, without saying so

    def taken(self) -> list[str]:
        """Ids of requests, in order."""
        return [request.headers["webhook-id"] for request in self.requests]


@contextmanager
def receiver(tls: tuple[Path, Path] | None = None) -> Iterator[Receiver]:
    """A running server; `tls` is its certificate and key."""
    one = Receiver()
    at_once: list[None] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            one.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            one.requests.append(Request(path=self.path, headers=headers, body=body))
            answer = one.answers.pop(0) if one.answers else Answer()
            if one.refuses(one.requests[-1]):
                answer = Answer(status=503)
            if one.delay_s:
                at_once.append(None)
                one.most_at_once = max(one.most_at_once, len(at_once))
                time.sleep(one.delay_s)
                at_once.pop()
            if answer.wait is not None:
                answer.wait.wait()
            if answer.hang_up or not one.lasting:
                self.close_connection = True
            if answer.hang_up:
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # clients that leave are what the tests are about

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    one.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}/inspection"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield one
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
