"""A change that the page asks for: from this page itself, small, and with who asks in its record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from agent.contract import strict_json
from agent.contract.commands import CODES, NotDoneError
from agent.errors import PlumblineError
from agent.page import acts
from agent.page.sources import Json, Sources

OWN_HEADER = "x-plumbline-page"  # no other site can send it without asking us first
MAX_BYTES = 32_000
WHO = "the page"


class _RefusedError(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def endpoint(sources: Sources) -> Callable[[Request], Awaitable[Response]]:
    """Of `POST api/acts/NAME` with a JSON object."""

    async def act(request: Request) -> Response:
        try:
            _require_own(request)
            body = strict_json.parse(await _read(request))
            if not isinstance(body, dict):
                raise _RefusedError(CODES["not_json"], "a JSON object is needed")
            return JSONResponse(await run_in_threadpool(_do, sources, request.path_params["name"], body))
        except _RefusedError as error:
            return _told(str(error), error.status)
        except strict_json.StrictJsonError as error:
            return _told(str(error), CODES["not_json"])
        except NotDoneError as error:
            return _told(str(error), CODES[error.kind])
        except PlumblineError as error:
            return _told(str(error), CODES["failed"])

    return act


def _do(sources: Sources, name: str, body: acts.Body) -> Json:
    return acts.do(sources, name, body, WHO)


def _require_own(request: Request) -> None:
    """Browsers name the site of the page that asks, and ask us before they send a header like ours."""
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
    if foreign or request.headers.get(OWN_HEADER) != "1":
        raise _RefusedError(403, "only this page itself may ask for changes")


async def _read(request: Request) -> bytes:
    read = b""
    async for piece in request.stream():
        read += piece
        if len(read) > MAX_BYTES:
            raise _RefusedError(CODES["oversized"], f"at most {MAX_BYTES} bytes are read")
    return read


def _told(words: str, status: int) -> Response:
    return PlainTextResponse(f"{words}\n", status)
