"""A change that somebody at the page asks for: small, and with who asks in its record."""

from __future__ import annotations

import asyncio

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from agent.contract import strict_json
from agent.contract.commands import ACCEPTED, CODES, NotDoneError
from agent.errors import PlumblineError
from agent.page import acts
from agent.page.jobs import Job, Jobs
from agent.page.sessions.gate import PERSON
from agent.page.sessions.roles import Person
from agent.page.sources import Sources

MAX_BYTES = 32_000
PATIENCE_S = 1.0  # for an act; one that takes longer is asked for again
LOOK_S = 0.05


class _RefusedError(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def routes(sources: Sources) -> list[Route]:
    """`POST api/acts/NAME` with a JSON object, and `GET api/jobs/ID?after=N` of one that takes long.

    What can be refused by what is known at once is refused before a job is begun.
    202 has `job`, its number, and what it `said` after the first N times.
    """
    jobs = Jobs()

    async def act(request: Request) -> Response:
        name, person = request.path_params["name"], _person(request)
        try:
            body = strict_json.parse(await _read(request))
            if not isinstance(body, dict):
                raise _RefusedError(CODES["not_json"], "a JSON object is needed")
            wanted = await run_in_threadpool(acts.wanted, sources, name, body, person)
            return await _answered(jobs.begin(wanted.who, lambda say: acts.do(sources, wanted, say)), after=0)
        except Exception as error:
            return _refusal(error)

    async def job(request: Request) -> Response:
        found = jobs.of(request.path_params["id"], _person(request).name)
        if found is None:
            return _told("this is not being done any more; look what was done before you ask again", 404)
        after = request.query_params.get("after", "")
        try:
            return await _answered(found, after=int(after) if after.isdecimal() and len(after) < 6 else 0)
        except Exception as error:
            return _refusal(error)

    return [
        Route("/api/acts/{name}", act, methods=["POST"]),
        Route("/api/jobs/{id}", job),
    ]


async def _answered(job: Job, *, after: int) -> Response:
    """At once when it is done, and after a moment else. Raises what it raised."""
    for _ in range(round(PATIENCE_S / LOOK_S)):
        if job.is_done.is_set():
            break
        await asyncio.sleep(LOOK_S)
    if not job.is_done.is_set():
        return JSONResponse({"job": job.id, "said": job.said[after:]}, ACCEPTED)
    if job.error is not None:
        raise job.error
    return JSONResponse(job.answer)


def _refusal(error: Exception) -> Response:
    """Raises what is no refusal."""
    match error:
        case _RefusedError():
            return _told(str(error), error.status)
        case strict_json.StrictJsonError():
            return _told(str(error), CODES["not_json"])
        case acts.NotAllowedError():
            return _told(str(error), 403)
        case NotDoneError():
            return _told(str(error), CODES[error.kind])
        case PlumblineError():
            return _told(str(error), CODES["failed"])
        case _:
            raise error


def _person(request: Request) -> Person:
    person: Person = request.scope[PERSON]
    return person


async def _read(request: Request) -> bytes:
    read = b""
    async for piece in request.stream():
        read += piece
        if len(read) > MAX_BYTES:
            raise _RefusedError(CODES["oversized"], f"at most {MAX_BYTES} bytes are read")
    return read


def _told(words: str, status: int) -> Response:
    return PlainTextResponse(f"{words}\n", status)
