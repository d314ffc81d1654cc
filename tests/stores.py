"""S3 stores for tests: one that works, from a package, and one that answers as it is told to."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.request import Request, urlopen

SECRET = "s3cr3t-of-the-store"
ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>of {}</Message></Error>'


def environment(endpoint: str) -> dict[str, str]:
    """What a process needs to speak to the store at `endpoint` and to no other."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "key-of-the-tests",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def working() -> Iterator[str]:
    """The address of a store without buckets, which forgets everything at the end."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    try:
        yield endpoint
    finally:
        with urlopen(Request(f"{endpoint}/moto-api/reset", method="POST")):  # its buckets are of the process
            server.stop()


@dataclass(frozen=True)
class Answer:
    """What every request is answered with."""

    status: int
    code: str = ""
    missing: int = 0  # bytes that are promised and never come


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """The address of a store that has one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # clients ask before they send a body

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = ERROR.format(answer.code, SECRET).encode() if answer.code else b"half"
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(body) + answer.missing))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
