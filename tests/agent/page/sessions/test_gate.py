"""Attacks on the page's door, over real HTTP: nobody comes in but those whom the station knows."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from agent.clock import ManualClock
from agent.page.server import PageError, PageServer
from agent.page.sessions import gate
from agent.page.sessions.accounts import AccountsError, AccountsFile
from agent.page.sessions.asking import cookies_of
from agent.page.sessions.gate import OWN_HEADER
from agent.settings.settings import PageProxy
from agent.status.metrics import Metrics
from tests import plain_http
from tests.agent.status.samples import streaming_board

pytestmark = pytest.mark.usefixtures("cheap_passwords")

PASSWORD = "belt stands at noon"
OWN = {OWN_HEADER: "1"}
CLOSED = (
    "/api/state",
    "/api/views/live",
    "/api/events",
    "/api/proofs",
    "/metrics",
    "/api/results/x/input.jpg",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = AccountsFile(tmp_path_factory.mktemp("made") / "accounts.json")
    for name, role in (("vera", "viewer"), ("otto", "operator"), ("emma", "engineer")):
        file.put(name, role, PASSWORD)  # type: ignore[arg-type]
    assert file.path is not None
    return file.path.read_bytes()


@pytest.fixture
def accounts(tmp_path: Path, made: bytes) -> AccountsFile:
    path = tmp_path / "accounts.json"
    path.write_bytes(made)
    return AccountsFile(path)


def served(path: Path | None, host: str = "127.0.0.1", port: int = 0, **more: object) -> PageServer:
    return PageServer(
        streaming_board(ManualClock()),
        Metrics(),
        host=host,
        port=port,
        accounts=path,
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture
def page(accounts: AccountsFile) -> Iterator[PageServer]:
    server = served(accounts.path)
    server.start()
    yield server
    server.stop()


def session_cookie(page: PageServer) -> str:
    return cookies_of(f":{page.port}").session


def browser(page: PageServer) -> httpx.Client:
    return plain_http.Client(base_url=f"http://127.0.0.1:{page.port}/", timeout=60)


def sign_in(client: httpx.Client, name: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
    return client.post("/api/session", json={"name": name, "password": password}, headers={**OWN, **headers})


def replay(client: httpx.Client, **headers: str) -> httpx.Response:
    return client.post("/api/acts/replay", json={"result_id": "x"}, headers={**OWN, **headers})


@pytest.mark.parametrize("path", CLOSED)
def test_who_is_not_signed_in_learns_nothing_of_the_station(page: PageServer, path: str) -> None:
    with browser(page) as client:
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (401, "sign in first\n")
        assert client.get("/").status_code == 200
        assert client.get("/healthz").status_code == 200
        assert client.get("/api/session").json() == {"person": None, "can_sign_in": True}


@pytest.mark.parametrize(
    "path",
    ["//api/state", "/./api/state", "/x/../api/state", "/%61pi/state", "/kiosk/../api/state", "/api//state"],
)
def test_no_other_spelling_of_an_address_goes_around_the_door(page: PageServer, path: str) -> None:
    with socket.create_connection(("127.0.0.1", page.port)) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.split()[1] in (b"401", b"404", b"403")
    assert b"cell3-cam1" not in answer


def test_who_signs_in_has_a_cookie_that_no_script_and_no_other_site_gets(page: PageServer) -> None:
    with browser(page) as client:
        answer = sign_in(client, "emma")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and "secure" not in cookie
        assert PASSWORD not in answer.text
        assert client.get("/api/state").status_code == 200
        assert client.get("/api/session").json()["person"] == {
            "name": "emma",
            "role": "engineer",
            "way": "account",
        }


def test_a_token_is_worth_nothing_after_signing_out(page: PageServer) -> None:
    with browser(page) as client:
        sign_in(client, "emma")
        stolen = dict(client.cookies)
        assert client.request("DELETE", "/api/session", headers=OWN).status_code == 200
        assert not client.cookies
    with browser(page) as thief:
        thief.cookies.update(stolen)
        assert thief.get("/api/state").status_code == 401


def test_two_stations_under_one_host_sign_nobody_out_of_the_other(accounts: AccountsFile) -> None:
    """A browser has one jar for all ports of a host, and a proxy may show stations below paths."""
    first, second = (served(accounts.path, station=name) for name in ("hall/one", "hall/two"))
    first.start()
    second.start()
    try:
        with browser(first) as client:
            assert sign_in(client, "emma").status_code == 200
            there = f"http://127.0.0.1:{second.port}"
            body = {"name": "vera", "password": PASSWORD}
            assert client.post(f"{there}/api/session", json=body, headers=OWN).status_code == 200
            assert client.get("/api/session").json()["person"]["name"] == "emma"
            assert client.get(f"{there}/api/session").json()["person"]["name"] == "vera"
            assert client.request("DELETE", f"{there}/api/session", headers=OWN).status_code == 200
            assert client.get("/api/state").status_code == 200
    finally:
        first.stop()
        second.stop()
    names = {cookies_of(f"{station}:{port}") for station in ("a", "b") for port in (1, 2)}
    assert len({one.session for one in names} | {one.kiosk for one in names}) == 8


def test_a_token_that_was_planted_before_is_never_the_one_of_the_session(page: PageServer) -> None:
    with browser(page) as client, browser(page) as attacker:
        name = session_cookie(page)
        client.cookies.set(name, "planted", domain="127.0.0.1")
        answer = sign_in(client, "emma")
        assert "planted" not in answer.headers["set-cookie"]
        attacker.cookies.set(name, "planted")
        assert attacker.get("/api/state").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {OWN_HEADER: "0"},
        {"Origin": "http://127.0.0.1.evil.example"},
    ],
)
def test_another_site_changes_nothing_with_somebodys_cookie(
    page: PageServer, headers: dict[str, str]
) -> None:
    with browser(page) as client:
        sign_in(client, "emma")
        assert replay(client, **headers).status_code == 403
        assert sign_in(client, "emma", **headers).status_code == 403
        assert client.get("/api/state").status_code == 200


def test_each_role_changes_what_it_may_and_no_more(page: PageServer) -> None:
    region = {"camera": "top", "recipe": "default", "corners": [[0, 0], [5, 0], [5, 5]]}
    for name, replays, ignores in (("vera", 403, 403), ("otto", 409, 403), ("emma", 409, 409)):
        with browser(page) as client:
            sign_in(client, name)
            assert replay(client).status_code == replays  # 409: nothing is kept here
            answer = client.post("/api/acts/ignore", json=region, headers=OWN)
            assert answer.status_code == ignores, answer.text
            assert client.get("/api/state").status_code == 200


def test_a_removed_account_another_password_and_another_role_hold_at_once(
    page: PageServer, accounts: AccountsFile
) -> None:
    with browser(page) as emma, browser(page) as otto:
        sign_in(emma, "emma")
        sign_in(otto, "otto")
        accounts.remove("emma", "accounts")
        accounts.put("otto", "viewer", "another one, and long")
        assert emma.get("/api/state").status_code == 401
        assert otto.get("/api/state").status_code == 401


def test_a_stream_ends_with_its_session(
    page: PageServer, accounts: AccountsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "STREAM_CHECK_S", 0.1)
    with browser(page) as client:
        sign_in(client, "vera")
        with client.stream("GET", "/api/events") as stream:
            lines = stream.iter_lines()
            next(lines)
            accounts.remove("vera", "accounts")
            assert sum(1 for _ in lines) < 1000  # it ends


def test_guesses_are_slowed_down_and_do_not_keep_the_owner_out(page: PageServer) -> None:
    with browser(page) as owner, browser(page) as thief:
        assert sign_in(owner, "emma").status_code == 200
        codes = [sign_in(thief, "emma", f"guess number {number}").status_code for number in range(12)]
        assert codes.count(401) <= 8
        assert codes[-1] == 429
        waited = sign_in(thief, "emma")
        assert waited.status_code == 429  # the right one, too
        assert 0 < int(waited.headers["retry-after"]) <= 16
        assert owner.get("/api/state").status_code == 200


def test_guesses_at_many_names_from_one_address_are_slowed_down_too(page: PageServer) -> None:
    with browser(page) as thief:
        codes = [sign_in(thief, f"person-{number}", "summer 2026!").status_code for number in range(12)]
        assert codes.count(401) <= 9 and codes[-1] == 429
        assert sign_in(thief, "emma").status_code == 429


@pytest.mark.usefixtures("dear_passwords")
def test_an_unknown_name_is_answered_as_a_wrong_password_is(page: PageServer) -> None:
    took: dict[str, list[float]] = {"emma": [], "nobody": []}
    with browser(page) as client:
        for _ in range(3):
            for name, times in took.items():
                started = time.perf_counter()
                answer = sign_in(client, name, "wrong password")
                times.append(time.perf_counter() - started)
                assert (answer.status_code, answer.text) == (401, "name or password is wrong\n")
    known, unknown = min(took["emma"]), min(took["nobody"])
    assert 0.5 < known / unknown < 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"name":"emma","password":"' + b"x" * 8192 + b'"}', 413),
        (b'{"name":"emma"}', 422),
        (b'{"name":"emma","password":"belt stands at noon","role":"engineer"}', 422),
        (b'{"name":{"$ne":""},"password":["x"]}', 422),
        (b"[" * 4000, 422),
        (b"\xff\xfe", 422),
        (b'{"name":"emma","password":"\\ud800 surrogate"}', 422),
    ],
)
def test_what_is_no_name_and_password_is_refused_in_words_that_repeat_none_of_it(
    page: PageServer, body: bytes, status: int
) -> None:
    with browser(page) as client:
        answer = client.post("/api/session", content=body, headers=OWN)
        assert answer.status_code in (status, 401)
        assert "belt" not in answer.text and "surrogate" not in answer.text
        assert client.get("/api/state").status_code == 401


def test_no_secret_stands_in_a_log(page: PageServer) -> None:
    with capture_logs() as told, browser(page) as client:
        sign_in(client, "emma")
        token = client.cookies[session_cookie(page)]
        sign_in(client, PASSWORD, "typed into the wrong field")
    said = json.dumps(told, default=str)
    assert [one["event"] for one in told] == ["page_signed_in", "page_sign_in_refused"]
    assert PASSWORD not in said and token not in said and "wrong field" not in said


def test_headers_of_a_proxy_count_from_a_listed_address_alone(accounts: AccountsFile) -> None:
    says = {"X-Remote-User": "chief", "X-Remote-Role": "engineer"}
    for listed, known in (((), None), (("10.9.9.9",), None), (("127.0.0.1",), "chief")):
        page = served(accounts.path, proxy=PageProxy(addresses=listed))
        page.start()
        with browser(page) as client:
            person = client.get("/api/session", headers=says).json()["person"]
            assert (person and person["name"]) == known
        page.stop()


def test_a_proxys_role_is_one_of_three_words_and_stands_once(accounts: AccountsFile) -> None:
    page = served(accounts.path, proxy=PageProxy(addresses=("127.0.0.0/8",)))
    page.start()
    user = ("X-Remote-User", "chief")
    with browser(page) as client:
        for role in ("root", "engineer,viewer", "", "ENGINEER"):
            told = client.get("/api/session", headers=[user, ("X-Remote-Role", role)]).json()
            assert told["person"]["role"] == ("engineer" if role == "ENGINEER" else "viewer")
        for twice in (
            [user, ("X-Remote-Role", "viewer"), ("X-Remote-Role", "engineer")],
            [user, ("X-Remote-Role", "viewer"), ("X_Remote_Role", "engineer")],
            [user, ("X-Remote-User", "other")],
        ):
            assert client.get("/api/state", headers=twice).status_code == 400
    page.stop()


def test_behind_a_listed_proxy_with_tls_the_cookie_is_secure_and_tries_count_by_client(
    accounts: AccountsFile,
) -> None:
    page = served(accounts.path, proxy=PageProxy(addresses=("127.0.0.1",)))
    page.start()
    with browser(page) as client:
        answer = sign_in(
            client, "emma", **{"X-Forwarded-Proto": "https", "X-Forwarded-For": "6.6.6.6, 10.0.0.7"}
        )
        assert "secure" in answer.headers["set-cookie"].lower()
    page.stop()


def test_on_loopback_without_accounts_this_machine_is_engineer_and_what_is_forwarded_only_reads() -> None:
    page = served(None, allowed_hosts=("mes.plant.example",))
    page.start()
    with browser(page) as client:
        assert client.get("/api/session").json()["person"]["role"] == "engineer"
        for headers in (
            {"X-Forwarded-For": "10.0.0.7"},
            {"Via": "1.1 proxy"},
            {"Host": "mes.plant.example"},
        ):
            assert client.get("/api/session", headers=headers).json()["person"]["role"] == "viewer"
            assert replay(client, **headers).status_code == 403
            assert client.get("/api/state", headers=headers).status_code == 200
    page.stop()


def test_a_page_that_others_reach_does_not_open_before_somebody_has_an_account(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    with pytest.raises(PageError, match="plumbline page user add NAME --role engineer"):
        served(path, "0.0.0.0").start()
    AccountsFile(path).put_kiosk("hall", "127.0.0.0/8")
    page = served(path, "0.0.0.0")
    page.start()
    with browser(page) as client:
        assert client.get("/api/state").status_code == 401
    page.stop()


def test_an_anonymous_page_is_read_by_all_and_changed_by_nobody_who_is_not_signed_in(
    accounts: AccountsFile,
) -> None:
    page = served(accounts.path, "0.0.0.0", anonymous=True)
    page.start()
    with browser(page) as client:
        assert client.get("/api/state").status_code == 200
        assert replay(client).status_code == 403
        sign_in(client, "otto")
        assert replay(client).status_code == 409
    page.stop()


def test_a_kiosk_reads_from_its_own_addresses_across_restarts(accounts: AccountsFile) -> None:
    here = accounts.put_kiosk("hall", "127.0.0.0/8")
    elsewhere = accounts.put_kiosk("yard", "10.1.2.0/24")
    page = served(accounts.path)
    page.start()
    with browser(page) as client:
        assert client.get(f"/kiosk/{elsewhere}").status_code == 403
        assert client.get("/kiosk/guess").status_code == 403
        came = client.get(f"/kiosk/{here}")
        assert (came.status_code, came.headers["location"]) == (303, "../")
        cookies = dict(client.cookies)
        assert client.get("/metrics", headers={"Authorization": f"Bearer {here}"}).status_code == 200
    page.stop()
    page = served(accounts.path, port=page.port)  # cookies are those of a station at its port
    page.start()
    with browser(page) as client:
        client.cookies.update(cookies)
        assert client.get("/api/session").json()["person"]["role"] == "viewer"
        assert replay(client).status_code == 403
        accounts.remove("hall", "kiosks")
        assert client.get("/api/state").status_code == 401
    page.stop()


def test_a_damaged_file_of_accounts_lets_nobody_in(page: PageServer, accounts: AccountsFile) -> None:
    with browser(page) as client:
        sign_in(client, "emma")
        assert accounts.path is not None
        accounts.path.write_text("{}garbage" + PASSWORD)
        answer = client.get("/api/state")
        assert answer.status_code == 503
        assert PASSWORD not in answer.text and "is damaged" in answer.text
        assert sign_in(client, "emma").status_code == 503
    with pytest.raises(AccountsError):
        accounts.now()


@pytest.mark.usefixtures("dear_passwords")
def test_many_who_guess_at_once_cost_one_check_at_a_time(page: PageServer) -> None:
    codes: list[int] = []

    def guess(number: int) -> None:
        with browser(page) as client:
            codes.append(sign_in(client, f"name{number}").status_code)

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) <= {401, 429}
