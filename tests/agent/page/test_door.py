"""Every address of the page and every way to ask for it: one table says who gets in, and none is missing.

A new route or act fails here until somebody has written down whom it lets in.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import httpx
import pytest

from agent.clock import ManualClock
from agent.contract.commands import CODES, NotDoneError
from agent.page import acting, acts, routes
from agent.page.acts import ACTS
from agent.page.assets import ASSETS
from agent.page.connections import Limits
from agent.page.feed import Feed
from agent.page.jobs import AT_ONCE
from agent.page.server import PageServer
from agent.page.sessions.accounts import AccountsFile
from agent.page.sessions.asking import cookies_of
from agent.page.sessions.gate import OWN_HEADER, Gate, Terms
from agent.page.sessions.roles import ROLES, Person, may
from agent.page.shown import Shown
from agent.page.sources import NOTHING, Behind, Sources
from agent.page.views.table import VIEWS
from agent.remote.proof.worst import DOCUMENT
from agent.settings.settings import PageProxy
from agent.status.metrics import Metrics
from tests import plain_http
from tests.agent.page.station import FakeDesk, running
from tests.agent.page.test_commanding import BODIES
from tests.agent.status.samples import streaming_board

pytestmark = pytest.mark.usefixtures("cheap_passwords")


Least: TypeAlias = Literal["everybody", "viewer", "by act"]
PASSWORD = "belt stands at noon"
OWN = {OWN_HEADER: "1"}
KEPT = "0192-top-3"

# By the path of each route: who may, and an address of it.
TABLE: dict[tuple[str, str], tuple[Least, str]] = {
    **{("GET", path): ("everybody", path) for path in ASSETS},
    ("GET", "/healthz"): ("everybody", "/healthz"),
    ("GET", "/api/session"): ("everybody", "/api/session"),
    ("POST", "/api/session"): ("everybody", "/api/session"),
    ("DELETE", "/api/session"): ("everybody", "/api/session"),
    ("GET", "/kiosk/{token}"): ("everybody", "/kiosk/guessed"),
    ("GET", "/api/views/{view}"): ("viewer", "/api/views/live"),
    ("GET", "/api/events"): ("viewer", "/api/events"),
    ("GET", "/api/results/{result_id}/{kind}.jpg"): ("viewer", f"/api/results/{KEPT}/input.jpg"),
    ("GET", "/api/results/{result_id}/pixels.png"): ("viewer", f"/api/results/{KEPT}/pixels.png"),
    ("GET", "/api/jobs/{id}"): ("viewer", "/api/jobs/guessed"),
    ("GET", "/api/teach/{product}/{name}.jpg"): ("viewer", "/api/teach/plate/part.jpg"),
    ("GET", "/api/state"): ("viewer", "/api/state"),
    ("GET", "/api/rejects/{result_id}/{view}.jpg"): ("viewer", f"/api/rejects/{KEPT}/input.jpg"),
    ("GET", "/api/strip/{camera}/{frame_id}.jpg"): ("viewer", "/api/strip/top/3.jpg"),
    ("GET", "/api/proofs"): ("viewer", "/api/proofs"),
    ("GET", "/api/proofs/{sha256}/{name}"): ("viewer", "/api/proofs/x/y"),
    ("GET", "/metrics"): ("viewer", "/metrics"),
    ("POST", "/api/acts/{name}"): ("by act", "/api/acts/pause"),
}


def served_routes() -> set[tuple[str, str]]:
    board = streaming_board(ManualClock())
    sources = Sources(board=board, metrics=Metrics(), shown=Shown(board), behind=NOTHING)
    gate = Gate(AccountsFile(None), Terms(proxy=PageProxy(), station=""))
    app = routes.page_app(sources, Feed(list), gate, host_names=None)
    return {
        (method, route.path)  # type: ignore[attr-defined]
        for route in app.routes
        for method in route.methods  # type: ignore[attr-defined]
        if method != "HEAD"
    }


def test_every_route_stands_in_the_table_and_every_row_is_a_route() -> None:
    assert served_routes() == set(TABLE)


def test_every_act_and_view_is_reached_by_a_row() -> None:
    assert {one.role for one in ACTS.values()} <= set(ROLES)
    assert all(may("engineer", one.role) and not may("viewer", one.role) for one in ACTS.values())
    assert set(VIEWS) >= {"now", "live", "result", "model", "changes", "doctor"}


Page: TypeAlias = tuple[PageServer, AccountsFile, FakeDesk, dict[str, str]]
SEEN: dict[tuple[int, str], dict[str, str]] = {}  # cookies by port and way: who tries too often has to wait


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """With a station behind it, accounts of each role, a kiosk here and one that is elsewhere."""
    folder = tmp_path_factory.mktemp("door")
    accounts = AccountsFile(folder / "accounts.json")
    for role in ROLES:
        accounts.put(role, role, PASSWORD)
    tokens = {
        "here": accounts.put_kiosk("hall", "127.0.0.0/8"),
        "away": accounts.put_kiosk("yard", "10.9.0.0/16"),
    }
    (folder / "station").mkdir()
    with running(folder / "station") as station:
        for number in range(4):
            station.judge(number, "fail" if number == 3 else "pass")
        behind = station.page._sources.behind
        server = PageServer(
            station.board,
            Metrics(),
            host="127.0.0.1",
            port=0,
            behind=behind,
            accounts=accounts.path,
            proxy=PageProxy(addresses=("10.9.9.9",)),
        )
        server.start()
        yield server, accounts, station.desk, tokens
        server.stop()


@contextmanager
def client_of(page: PageServer) -> Iterator[httpx.Client]:
    with plain_http.Client(base_url=f"http://127.0.0.1:{page.port}/", timeout=60) as client:
        yield client


def signed_in(client: httpx.Client, name: str) -> None:
    key = (client.base_url.port or 0, name)
    if key not in SEEN:
        sign_in(client, name)
        SEEN[key] = dict(client.cookies)
    client.cookies.update(SEEN[key])


def sign_in(client: httpx.Client, name: str) -> None:
    answer = client.post("/api/session", json={"name": name, "password": PASSWORD}, headers=OWN)
    assert answer.status_code == 200, answer.text


def nobody(client: httpx.Client, page: Page) -> None:
    return


def planted(client: httpx.Client, page: Page) -> None:
    for name in (cookies_of(f":{page[0].port}").session, "plumbline"):
        client.cookies.set(name, "planted-by-somebody")


def replayed(client: httpx.Client, page: Page) -> None:
    """A token that was good until its owner signed out."""
    key = (page[0].port, "replayed")
    if key not in SEEN:
        sign_in(client, "engineer")
        SEEN[key] = dict(client.cookies)
        assert client.request("DELETE", "/api/session", headers=OWN).status_code == 200
    client.cookies.update(SEEN[key])


def unlisted_proxy(client: httpx.Client, page: Page) -> None:
    client.headers.update(
        {"X-Remote-User": "chief", "X-Remote-Role": "engineer", "X-Forwarded-For": "10.9.9.9"}
    )


def kiosk_elsewhere(client: httpx.Client, page: Page) -> None:
    client.cookies.set(cookies_of(f":{page[0].port}").kiosk, page[3]["away"])
    client.headers["X-Forwarded-For"] = "10.9.0.1"


def kiosk_of_another_station(client: httpx.Client, page: Page) -> None:
    client.cookies.set(cookies_of("hall/other:8080").kiosk, page[3]["here"])


def session_as_kiosk(client: httpx.Client, page: Page) -> None:
    """Neither kind of token counts as the other."""
    signed_in(client, "engineer")
    client.cookies.clear()
    token = SEEN[page[0].port, "engineer"][cookies_of(f":{page[0].port}").session]
    client.headers["Authorization"] = f"Bearer {token}"


def kiosk(client: httpx.Client, page: Page) -> None:
    assert client.get(f"/kiosk/{page[3]['here']}").status_code == 303


def kiosk_by_header(client: httpx.Client, page: Page) -> None:
    client.headers["Authorization"] = f"Bearer {page[3]['here']}"


def as_role(role: str) -> Callable[[httpx.Client, Page], None]:
    return lambda client, page: signed_in(client, role)


# Each way to ask, and the role that it has; None: nobody is let in by it.
WAYS: dict[str, tuple[Callable[[httpx.Client, Page], None], Any]] = {
    "nobody": (nobody, None),
    "planted cookie": (planted, None),
    "token after sign-out": (replayed, None),
    "headers of a proxy that is not listed": (unlisted_proxy, None),
    "kiosk token from elsewhere": (kiosk_elsewhere, None),
    "kiosk cookie of another station": (kiosk_of_another_station, None),
    "session token as a kiosk's": (session_as_kiosk, None),
    "kiosk": (kiosk, "viewer"),
    "kiosk by header": (kiosk_by_header, "viewer"),
    **{role: (as_role(role), role) for role in ROLES},
}


def status_of(client: httpx.Client, method: str, address: str, body: Any = None, **headers: str) -> int:
    """A stream is left as soon as it has begun."""
    own = OWN if method not in ("GET", "HEAD", "OPTIONS") else {}
    with client.stream(method, address, json=body, headers={**own, **headers}) as answer:
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            answer.read()
            assert "Traceback" not in answer.text
        return answer.status_code


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_ask_gets_what_its_role_may_and_nothing_else(page: Page, way: str) -> None:
    enter, role = WAYS[way]
    with client_of(page[0]) as client:
        enter(client, page)
        for (method, path), (least, address) in TABLE.items():
            if (method, path) in {("POST", "/api/session"), ("DELETE", "/api/session")}:
                continue  # they change who asks, and have tests of their own
            if least == "by act":
                continue
            found = status_of(client, method, address)
            refused = found == 401
            assert refused == (least == "viewer" and role is None), (way, method, path, found)
            assert found < 500, (path, found)
            if method == "GET" and path != "/api/events":
                assert (status_of(client, "HEAD", address) == 401) == refused, (way, "HEAD", path)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ACTS)
def test_each_way_does_the_acts_of_its_role_and_no_other(page: Page, way: str, name: str) -> None:
    server, _, desk, _ = page
    enter, role = WAYS[way]
    bodies = {**BODIES, "replay": {"result_id": KEPT}, "revert": {"snapshot": "ab" * 32}}
    with client_of(server) as client:
        enter(client, page)
        asked = len(desk.asked)
        found = status_of(client, "POST", f"/api/acts/{name}", bodies.get(name, {}))
        if role is None:
            assert found == 401
        elif may(role, ACTS[name].role):
            assert found not in (401, 403), found
        else:
            assert found == 403
        if found in (401, 403):
            assert len(desk.asked) == asked, "the station was not asked"
        if name == "take_control" and found == 200:
            assert status_of(client, "POST", "/api/acts/give_back", {}) == 200


GOOD: dict[str, Any] = {
    **BODIES,
    "replay": {"result_id": KEPT},
    "explain": {"result_id": KEPT},
    "ignore": {"camera": "top", "recipe": "default", "corners": [[1, 1], [9, 1], [9, 9]]},
    "revert": {"snapshot": "ab" * 32},
    "use_labels": {"sha256": None},
}


@pytest.mark.parametrize("name", ACTS)
def test_what_a_station_cannot_do_at_all_is_refused_before_it_is_begun(name: str) -> None:
    board = streaming_board(ManualClock())
    sources = Sources(board=board, metrics=Metrics(), shown=Shown(board), behind=NOTHING)
    somebody = Person(name="anna", role="engineer", way="account")
    with pytest.raises(NotDoneError) as refusal:
        acts.wanted(sources, name, GOOD.get(name, {}), somebody)
    assert refusal.value.kind == "impossible" and len(str(refusal.value)) > 15
    with pytest.raises(NotDoneError) as refusal:
        acts.wanted(sources, name, {**GOOD.get(name, {}), "more": 1}, somebody)
    assert refusal.value.kind == "bad_arguments"


@pytest.mark.parametrize(
    ("who", "name", "body", "status", "words"),
    [
        ("operator", "threshold", BODIES["threshold"], 403, "takes the role engineer"),
        ("engineer", "nothing", {}, 404, "there is no act"),
        ("engineer", "disable", {"camera": "side", "reason": "dirty"}, 404, "no camera side"),
        ("engineer", "what_if", {"camera": "side", "threshold": 0.5}, 404, "no camera side"),
        ("engineer", "calibrate", {"false_reject_rate": 7.0}, 422, "false_reject_rate"),
        ("engineer", "take_control", {"minutes": True}, 422, "minutes"),
        ("engineer", "take_control", {"minutes": "15"}, 422, "minutes"),
        ("engineer", "ignore", {**GOOD["ignore"], "corners": [[True, 1], [9, 1], [9, 9]]}, 422, "corners"),
        ("engineer", "use_labels", {"recipe": "none", "sha256": None}, 200, ""),
        ("engineer", "ignore", {**GOOD["ignore"], "recipe": "none"}, 404, "no recipe none"),
        ("engineer", "teach_begin", {**BODIES["teach_begin"], "camera": "side"}, 404, "no camera side"),
    ],
)
def test_what_can_be_refused_at_once_is_while_as_many_others_are_done_as_may_be(
    page: Page, who: str, name: str, body: Any, status: int, words: str
) -> None:
    """It takes no place among those that are being done, and no 202 is given before its refusal."""
    server, _, desk, _ = page
    desk.may_end.clear()
    try:
        with client_of(server) as client:
            signed_in(client, "engineer")
            begun = [client.post("/api/acts/doctor", json={}, headers=OWN) for _ in range(AT_ONCE)]
            assert [one.status_code for one in begun] == [202] * AT_ONCE
            client.cookies.clear()
            signed_in(client, who)
            answer = client.post(f"/api/acts/{name}", json=body, headers=OWN)
        full = status == 200
        assert answer.status_code == (CODES["occupied"] if full else status), answer.text
        assert ("others are being done" if full else words) in answer.text
    finally:
        desk.may_end.set()
        with client_of(server) as client:
            signed_in(client, "engineer")
            for one in begun:
                while client.get(f"/api/jobs/{one.json()['job']}").status_code == 202:
                    pass


FOREIGN: list[dict[str, str]] = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1"},  # another port of this host is another site
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {OWN_HEADER: ""},
    {OWN_HEADER: "true"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_another_site_changes_nothing_with_an_engineers_cookie(page: Page, headers: dict[str, str]) -> None:
    server, _, desk, _ = page
    with client_of(server) as client:
        signed_in(client, "engineer")
        asked = len(desk.asked)
        for method, path in TABLE:
            if method not in ("GET",):
                address = TABLE[method, path][1]
                assert status_of(client, method, address, BODIES["pause"], **headers) == 403, (method, path)
        assert len(desk.asked) == asked
        assert client.get("/api/state").status_code == 200, "nobody was signed out by it"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "OPTIONS", "CONNECT", "PROPFIND", "PRI", "GETS"])
@pytest.mark.parametrize("who", [None, "engineer"])
def test_no_address_knows_another_method(page: Page, method: str, who: str | None) -> None:
    server, _, desk, _ = page
    with client_of(server) as client:
        if who is not None:
            signed_in(client, who)
        asked = len(desk.asked)
        for address in sorted({address for _, address in TABLE.values()}):
            found = status_of(client, method, address)
            assert found in (401, 403, 404, 405), (method, address, found)
        assert len(desk.asked) == asked


@pytest.mark.parametrize(
    "spelling", ["/API/ACTS/pause", "/api/acts/pause/", "//api/acts/pause", "/api/acts/../acts/pause"]
)
def test_no_other_spelling_reaches_an_act(page: Page, spelling: str) -> None:
    server, _, desk, _ = page
    asked = len(desk.asked)
    body = json.dumps(BODIES["pause"]).encode()
    head = f"POST {spelling} HTTP/1.1\r\nHost: 127.0.0.1\r\n{OWN_HEADER}: 1\r\n"
    head += f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.split()[1] in (b"401", b"403", b"404", b"405")
    assert len(desk.asked) == asked


ESCAPES = (
    "..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "....//....//etc/passwd",
    "/etc/passwd",
    "..\\..\\etc\\passwd",
    "..",
    ".",
    "%00",
    "x%00.jpg",
    "%ff%fe",
    "%0d%0aSet-Cookie:%20a=b",
    "~root",
    "C:%5cWindows",
    "a" * 5000,
    "9" * 5000,
    f"{KEPT}%2f..%2f{KEPT}",
)
WITH_NAMES = sorted({path for method, path in TABLE if method == "GET" and "{" in path})


@pytest.mark.parametrize("path", WITH_NAMES)
def test_no_name_in_an_address_leads_to_a_file_that_is_not_a_pictures(page: Page, path: str) -> None:
    server, _, _, _ = page
    names = [part for part in path.replace(".", "/").split("/") if part.startswith("{")]
    with client_of(server) as client:
        signed_in(client, "engineer")
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    for escape in ESCAPES:
        for chosen in names:
            address = path
            for name in names:
                address = address.replace(name, escape if name == chosen else "x")
            head, body = asked_as_written(server, address, cookie)
            status = int(head.split()[1])
            assert status in (400, 403, 404), (address[:80], head)
            assert b"root:" not in body and b"set-cookie" not in head.lower(), (address[:80], head)
            assert DOCUMENT.encode() not in body


def asked_as_written(server: PageServer, address: str, cookie: str) -> tuple[bytes, bytes]:
    """Head and body; nothing on our side makes the address any nicer."""
    asks = f"GET {address} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as raw:
        raw.sendall(asks.encode())
        head, _, body = b"".join(iter(lambda: raw.recv(65536), b"")).partition(b"\r\n\r\n")
    return head, body


def test_a_body_that_is_too_large_is_refused_before_it_is_kept(page: Page) -> None:
    server, _, desk, _ = page
    asked = len(desk.asked)

    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * acting.MAX_BYTES

    with client_of(server) as client:
        signed_in(client, "engineer")
        for method, path in TABLE:
            if method != "POST":
                continue
            try:
                status = client.post(TABLE[method, path][1], content=endless(), headers=OWN).status_code
            except httpx.TransportError:
                continue  # it was cut while we wrote
            assert status == 413, (path, status)
    assert len(desk.asked) == asked


def test_a_body_that_trickles_holds_no_connection_for_ever(tmp_path: Path) -> None:
    limits = Limits(ask_s=0.5, answer_s=1.0)
    desk = FakeDesk()
    server = PageServer(
        streaming_board(ManualClock()),
        Metrics(),
        host="127.0.0.1",
        port=0,
        limits=limits,
        behind=Behind(desk=desk),  # type: ignore[arg-type]
    )
    server.start()
    try:
        head = f"POST /api/acts/pause HTTP/1.1\r\nHost: 127.0.0.1\r\n{OWN_HEADER}: 1\r\n"
        head += "Content-Length: 30000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as raw:
            raw.sendall(head.encode())
            ends = time.monotonic() + 60
            while time.monotonic() < ends:
                try:
                    raw.sendall(b" ")
                    time.sleep(0.05)
                except OSError:
                    break
            else:
                pytest.fail("it was let wait")
        assert server.turned_away == 1
        assert desk.asked == []
    finally:
        server.stop()
