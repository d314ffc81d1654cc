"""Who comes in: each request is told who asks, or turned away; signing in and out, and kiosks.

What is served to everybody: the page's own files, which say nothing of the station, `healthz`, signing in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.contract import strict_json
from agent.page.sessions import passwords
from agent.page.sessions.accounts import AccountsError, AccountsFile
from agent.page.sessions.asking import Asking, SmuggledError, asking, cookies_of, who
from agent.page.sessions.limits import SignInLimits
from agent.page.sessions.roles import Person
from agent.page.sessions.sessions import LIFE_S, Sessions
from agent.settings.settings import PageProxy

OWN_HEADER = "x-plumbline-page"  # no other site can send it without asking us first
MAX_BYTES = 4_096  # of who signs in
WAITING = 4  # for a password to be checked
STREAM_CHECK_S = 2.0
KIOSK_LIFE_S = 400 * 86_400  # browsers keep a cookie no longer
SAFE = frozenset({"GET", "HEAD"})
PERSON, ASKING = "plumbline.person", "plumbline.asking"  # in the scope of a request

log = structlog.get_logger(__name__)


class SignIn(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=64)
    password: str = Field(min_length=1, max_length=passwords.LONGEST, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a page was opened. `is_secure`: the server itself speaks TLS. `station` is like no other's."""

    on_loopback: bool = True
    anonymous: bool = False
    is_secure: bool = False
    proxy: PageProxy
    own_names: frozenset[str] = frozenset()  # of this machine; other hosts are asked for through a proxy
    station: str


class Gate:
    """Of one server; what is not thread-safe belongs to its event loop."""

    def __init__(self, accounts: AccountsFile, terms: Terms) -> None:
        self._accounts = accounts
        self._terms = terms
        self._cookies = cookies_of(terms.station)
        self.sessions = Sessions(time.monotonic)
        self.limits = SignInLimits()
        self._checking = asyncio.Semaphore(1)
        self._waiting = 0

    def asks(self, scope: Scope) -> Asking:
        """Raises SmuggledError."""
        headers, client, terms = Headers(scope=scope), scope.get("client"), self._terms
        host = urlsplit(f"//{headers.get('host', '')}")
        return asking(
            headers,
            client[0] if client else "",
            proxy=terms.proxy,
            secure=terms.is_secure,
            own_name=(host.hostname or "") in terms.own_names,
            cookies=self._cookies,
        )

    def who(self, one: Asking) -> Person | None:
        """Raises AccountsError."""
        terms = self._terms
        return who(
            one,
            self._accounts.now(),
            self.sessions,
            on_loopback=terms.on_loopback,
            anonymous=terms.anonymous,
        )

    def routes(self) -> list[Route]:
        return [
            Route("/api/session", self._told),
            Route("/api/session", self._sign_in, methods=["POST"]),
            Route("/api/session", self._sign_out, methods=["DELETE"]),
            Route("/kiosk/{token}", self._kiosk),
        ]

    def _told(self, request: Request) -> Response:
        try:
            can = bool(self._accounts.now().accounts)
        except AccountsError as error:
            return _words(str(error), 503)
        person: Person | None = request.scope[PERSON]
        return JSONResponse({"person": None if person is None else asdict(person), "can_sign_in": can})

    async def _sign_in(self, request: Request) -> Response:
        one: Asking = request.scope[ASKING]
        try:
            asked = SignIn.model_validate(strict_json.parse(await _read(request)))
            accounts = self._accounts.now().accounts
        except (strict_json.StrictJsonError, ValidationError):
            return _words("give name and password", 422)
        except _TooMuchError:
            return _words(f"at most {MAX_BYTES} bytes are read", 413)
        except AccountsError as error:
            return _words(str(error), 503)
        name = asked.name.strip().lower()
        wait_s = self.limits.wait_s(one.address, name, accounts, time.monotonic())
        if wait_s or self._waiting >= WAITING:
            wait_s = max(1, round(wait_s + 0.5))
            answer = _words(f"too many tries; try again in {wait_s} s", 429)
            answer.headers["Retry-After"] = str(wait_s)
            return answer
        account = accounts.get(name)
        self._waiting += 1
        try:
            async with self._checking:
                known = None if account is None else account.password
                is_right = await run_in_threadpool(passwords.is_right, asked.password, known)
        finally:
            self._waiting -= 1
        if account is None or not is_right:
            log.warning("page_sign_in_refused", address=one.address)  # a name may be a password, mistyped
            return _words("name or password is wrong", 401)
        self.limits.succeeded(one.address, name)
        if one.session is not None:
            self.sessions.end(one.session)
        log.info("page_signed_in", who=name, role=account.role, address=one.address)
        token = self.sessions.begin(name, account.password)
        answer = JSONResponse({"person": asdict(Person(name=name, role=account.role, way="account"))})
        _give(answer, self._cookies.session, token, one, round(LIFE_S))
        return answer

    def _sign_out(self, request: Request) -> Response:
        one: Asking = request.scope[ASKING]
        if one.session is not None:
            self.sessions.end(one.session)
        answer = JSONResponse({"person": None})
        answer.delete_cookie(self._cookies.session, httponly=True, samesite="strict", secure=one.is_secure)
        return answer

    def _kiosk(self, request: Request) -> Response:
        """The address of a screen: it is known from then on by a cookie, which outlives restarts."""
        one: Asking = request.scope[ASKING]
        token = request.path_params["token"]
        try:
            name = self._accounts.now().kiosk(token, one.address)
        except AccountsError as error:
            return _words(str(error), 503)
        if name is None:
            return _words("this address is no kiosk's, or not from here", 403)
        answer = RedirectResponse("../", 303)
        _give(answer, self._cookies.kiosk, token, one, KIOSK_LIFE_S)
        return answer


class GateMiddleware:
    """Tells each request who asks, and turns away whom we do not know."""

    def __init__(self, app: ASGIApp, gate: Gate, open_paths: Collection[str]) -> None:
        self._app = app
        self._gate = gate
        self._open = frozenset({*open_paths, "/healthz", "/api/session"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        person, refusal = None, None
        try:
            one = self._gate.asks(scope)
            scope[ASKING] = one
            person = self._gate.who(one)
        except SmuggledError as error:
            refusal = _words(f"the header {error} stands twice; let the proxy replace clients' own", 400)
        except AccountsError as error:
            refusal = _words(str(error), 503)
        scope[PERSON] = person
        path: str = scope["path"]
        is_open = path in self._open or path.startswith("/kiosk/")
        if refusal is None and scope["method"] not in SAFE and not _is_own(scope):
            refusal = _words("only this page itself may ask for changes", 403)
        elif refusal is None and person is None and not is_open:
            refusal = _words("sign in first", 401)
        if refusal is not None and not (is_open and ASKING in scope and scope["method"] in SAFE):
            await refusal(scope, receive, send)
        elif path == "/api/events":
            await self._while_known(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _while_known(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A stream ends with the session that it was opened in."""
        checked_s, is_over = time.monotonic(), False

        async def sent(message: Message) -> None:
            nonlocal checked_s, is_over
            if time.monotonic() - checked_s > STREAM_CHECK_S:
                checked_s = time.monotonic()
                try:
                    is_over = self._gate.who(scope[ASKING]) is None
                except AccountsError:
                    is_over = True
            if is_over:
                raise OSError("its reader is signed out")
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except Exception:
            if not is_over:
                raise
        if is_over:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class _TooMuchError(Exception):
    pass


async def _read(request: Request) -> bytes:
    read = b""
    async for piece in request.stream():
        read += piece
        if len(read) > MAX_BYTES:
            raise _TooMuchError
    return read


def _is_own(scope: Scope) -> bool:
    """Browsers name the site of the page that asks, and ask us before they send a header like ours."""
    headers = Headers(scope=scope)
    origin, host = headers.get("origin"), headers.get("host", "")
    is_foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        is_foreign = True
    return not is_foreign and headers.get(OWN_HEADER) == "1"


def _give(answer: Response, name: str, token: str, one: Asking, life_s: int) -> None:
    answer.set_cookie(name, token, max_age=life_s, httponly=True, samesite="strict", secure=one.is_secure)


def _words(words: str, status: int) -> Response:
    return PlainTextResponse(f"{words}\n", status)
