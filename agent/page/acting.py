"""A change that somebody at the page asks for: small, and with who asks in its record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from agent.contract import strict_json
from agent.contract.commands import CODES, NotDoneError
from agent.errors import PlumblineError
from agent.page import acts
from agent.page.sessions.gate import PERSON
from agent.page.sources import Json, Sources

MAX_BYTES = 32_000


class _RefusedError(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def endpoint(sources: Sources) -> Callable[[Request], Awaitable[Response]]:
    """Of `POST api/acts/NAME` with a JSON object."""

    async def act(request: Request) -> Response:
        try:
            body = strict_json.parse(await _read(request))
            if not isinstance(body, dict):
                raise _RefusedError(CODES["not_json"], "a JSON object is needed")
            return JSONResponse(await run_in_threadpool(_do, sources, request, body))
        except _RefusedError as error:
            return _told(str(error), error.status)
        except strict_json.StrictJsonError as error:
            return _told(str(error), CODES["not_json"])
        except acts.NotAllowedError as error:
            return _told(str(error), 403)
        except NotDoneError as error:
            return _told(str(error), CODES[error.kind])
        except PlumblineError as error:
            return _told(str(error), CODES["failed"])

    return act


def _do(sources: Sources, request: Request, body: acts.Body) -> Json:
    return acts.do(sources, request.path_params["name"], body, request.scope[PERSON])


async def _read(request: Request) -> bytes:
    read = b""
    async for piece in request.stream():
        read += piece
        if len(read) > MAX_BYTES:
            raise _RefusedError(CODES["oversized"], f"at most {MAX_BYTES} bytes are read")
    return read


def _told(words: str, status: int) -> Response:
    return PlainTextResponse(f"{words}\n", status)
