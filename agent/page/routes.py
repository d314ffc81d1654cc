"""The page and its API: self-contained, and closed to other sites and to whom the gate does not know.

Read with GET; what people change are acts. On a loopback address it answers to loopback names and
those of page.allowed_hosts alone, so that a web page elsewhere cannot read it by
pointing its own name here (DNS rebinding).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.page import acting, results
from agent.page.assets import ASSETS, STATIC
from agent.page.feed import Feed
from agent.page.proofs import documents, picture
from agent.page.sessions.gate import Gate, GateMiddleware
from agent.page.sources import Sources
from agent.page.state import state
from agent.page.views.faults import NotThereError
from agent.page.views.table import VIEWS
from agent.status.health import assess
from agent.status.metrics import CONTENT_TYPE
from agent.status.picture import Picture, encode_jpeg, encode_png, shrink

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; style-src 'self'; "
    "script-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOT_KEPT = "no-store"
ASK_AGAIN = "no-cache"  # kept, and asked for by its ETag each time
PART_PX = 480
FOR_EVER = "private, max-age=86400, immutable"  # the pictures of a result never change


def page_app(sources: Sources, feed: Feed, gate: Gate, *, host_names: frozenset[str] | None) -> Starlette:
    """The ASGI application; requests for a host outside `host_names` are refused (None: any host)."""
    board, shown, proofs = sources.board, sources.shown, sources.behind.proofs

    def api_state(_: Request) -> Response:
        return JSONResponse(state(shown.snapshot()))

    def reject_picture(request: Request) -> Response:
        reject = shown.reject(request.path_params["result_id"])
        if reject is None:
            return _gone("this reject is no longer among the last ones")
        pictures = {"input": reject.input, "restored": reject.restored, "heat": reject.heat}
        return _jpeg(pictures.get(request.path_params["view"]))

    def strip_picture(request: Request) -> Response:
        number = request.path_params["frame_id"]
        frame_id = (
            int(number) if re.fullmatch("[0-9]{1,20}", number) else -1
        )  # Python converts no 4301 digits
        frame = shown.strip_frame(request.path_params["camera"], frame_id)
        return _gone("this frame is no longer in the strip") if frame is None else _jpeg(frame.picture)

    def api_proofs(_: Request) -> Response:
        return JSONResponse({"schema": "plumbline.proofs/1", "proofs": documents(proofs)})

    def proof_picture(request: Request) -> Response:
        data = picture(proofs, request.path_params["sha256"], request.path_params["name"])
        if data is None:
            return _gone("this proof is no longer among the last ones")
        return Response(data, media_type="image/jpeg")

    def api_view(request: Request) -> Response:
        view = VIEWS.get(request.path_params["view"])
        if view is None:
            return _gone(f"there is no such view; there are {', '.join(VIEWS)}")
        try:
            return _fresh(request, view(sources, request.query_params))
        except NotThereError as error:
            return _gone(str(error))

    def api_events(request: Request) -> Response:
        only = frozenset(filter(None, request.query_params.get("only", "").split(",")))
        stream = feed.stream(request.headers.get("last-event-id", ""), only)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    def result_picture(request: Request) -> Response:
        found = results.jpeg(sources, request.path_params["result_id"], request.path_params["kind"])
        if found is None:
            return _gone("this picture is no longer kept, or never was")
        return Response(found, media_type="image/jpeg", headers={"Cache-Control": FOR_EVER})

    def result_pixels(request: Request) -> Response:
        found = results.pixels(sources, request.path_params["result_id"])
        if found is None:
            return _gone("the archive does not have this frame")
        return Response(encode_png(found), media_type="image/png", headers={"Cache-Control": FOR_EVER})

    def part_picture(request: Request) -> Response:
        teaching, asked = sources.behind.teaching, request.path_params
        found = None if teaching is None else teaching.picture(asked["product"], asked["name"])
        if found is None:
            return _gone("there is no such part")
        headers = {"Cache-Control": FOR_EVER}
        return Response(encode_jpeg(shrink(found, PART_PX)), media_type="image/jpeg", headers=headers)

    def healthz(_: Request) -> Response:
        health = assess(board.snapshot())
        text = json.dumps({"state": health.state, "reasons": health.reasons}) + "\n"
        return Response(text, 200 if health.state == "running" else 503, media_type="application/json")

    def metrics_text(_: Request) -> Response:
        return Response(sources.metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    routes = [Route(path, _asset(name, media_type)) for path, (name, media_type) in ASSETS.items()]
    routes += [
        *gate.routes(),
        Route("/api/views/{view}", api_view),
        Route("/api/events", api_events),
        Route("/api/results/{result_id}/{kind}.jpg", result_picture),
        Route("/api/results/{result_id}/pixels.png", result_pixels),
        Route("/api/teach/{product}/{name}.jpg", part_picture),
        *acting.routes(sources),
        Route("/api/state", api_state),
        Route("/api/rejects/{result_id}/{view}.jpg", reject_picture),
        Route("/api/strip/{camera}/{frame_id}.jpg", strip_picture),
        Route("/api/proofs", api_proofs),
        Route("/api/proofs/{sha256}/{name}", proof_picture),
        Route("/healthz", healthz),
        Route("/metrics", metrics_text),
    ]
    middleware = [
        Middleware(_Guard, host_names=host_names),
        Middleware(GateMiddleware, gate=gate, open_paths=ASSETS),
    ]
    return Starlette(routes=routes, middleware=middleware)


class _Guard:
    """Refuses foreign Host headers and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, host_names: frozenset[str] | None) -> None:
        self._app = app
        self._host_names = host_names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                headers.setdefault("Cache-Control", NOT_KEPT)
            await send(message)

        host = Headers(scope=scope).get("host", "")
        if self._host_names is not None and _name(host) not in self._host_names:
            refusal = PlainTextResponse(
                f"host {host!r} is not served here; open the page as http://127.0.0.1:PORT/,"
                " or add the name to page.allowed_hosts in the settings\n",
                421,
            )
            await refusal(scope, receive, guarded)
            return
        with suppress(ClientDisconnect):  # whoever asked went away in the middle of it
            await self._app(scope, receive, guarded)


def _name(host: str) -> str:
    """Without port and the dot of a full name; empty for what is no host."""
    parts = re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*?)\.?(:[0-9]*)?", host)
    return parts[1].lower() if parts else ""


def _fresh(request: Request, content: dict[str, Any]) -> Response:
    """JSON that a browser keeps and asks for again, without getting what it has."""
    body = json.dumps(content, separators=(",", ":")).encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"Cache-Control": ASK_AGAIN, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _asset(name: str, media_type: str) -> Callable[[Request], Response]:
    body = (STATIC / name).read_bytes()

    def asset(_: Request) -> Response:
        return Response(body, media_type=media_type)

    return asset


def _jpeg(picture: Picture | None) -> Response:
    if picture is None:
        return _gone("there is no such picture of this frame")
    return Response(picture.jpeg(), media_type="image/jpeg")


def _gone(why: str) -> Response:
    return PlainTextResponse(f"{why}\n", 404)
