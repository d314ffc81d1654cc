"""A bundle comes from a web server whole or not at all, whatever the server says and does."""

from __future__ import annotations

import gzip
import itertools
import random
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from agent.clock import ManualClock, SystemClock
from agent.remote.transport import https, paced
from agent.remote.transport.addresses import address_of, file_below, redirected
from agent.remote.transport.fetch import GRACE_S, deadline_s
from agent.remote.transport.https import accepted
from agent.remote.transport.source import Lost, Stopped, Unfit
from agent.remote.transport.taking import NotFetched
from agent.settings.remote import Download
from tests.agent.remote.transport.goods import (
    MORE,
    Wanting,
    folder_source,
    same,
    stop_at,
    target_of,
    web_source,
    write_goods,
)
from tests.agent.remote.transport.web import HOST, Asked, Web, serving, tag_of
from tests.agent.uplink.authority import Authority

SIZE = 300_000
Lie: TypeAlias = Callable[[Asked, socket.socket, Web], bool]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_goods(tmp_path / "source", SIZE)
    return tmp_path / "source"


class QuickClock(SystemClock):
    """Waits take no time, all else is in true time."""

    def __init__(self) -> None:
        self._slept_ns = 0

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self._slept_ns

    def sleep(self, seconds: float) -> None:
        self._slept_ns += round(seconds * 1e9)


@pytest.fixture
def wanting(tmp_path: Path) -> Wanting:
    return Wanting(folder=tmp_path / "bundles", clock=QuickClock())


@pytest.fixture
def web(source: Path) -> Iterator[Web]:
    with serving(source) as found:
        yield found


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "plant")


def more_only(lie: Lie) -> Lie:
    """The head is served honestly."""
    return lambda asked, connection, web: asked.path.endswith(MORE) and lie(asked, connection, web)


def first_time(lie: Lie) -> Lie:
    calls = itertools.count()
    return lambda asked, connection, web: next(calls) == 0 and lie(asked, connection, web)


def closes_after(size: int) -> Lie:
    """With a reset, so that even what was sent may be lost."""

    def lie(asked: Asked, connection: socket.socket, web: Web) -> bool:
        content = web.content(asked) or b""
        if len(content) - asked.begins <= size:
            return False
        lines = [f"Content-Length: {len(content) - asked.begins}", f"ETag: {tag_of(content)}"]
        if asked.begins:
            lines.append(f"Content-Range: bytes {asked.begins}-{len(content) - 1}/{len(content)}")
        part = content[asked.begins : asked.begins + size]
        web.say(connection, 206 if asked.begins else 200, lines, part)
        return True

    return lie


def resets(asked: Asked, connection: socket.socket, web: Web) -> bool:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return True


def says(status: int, *lines: str, content: bytes = b"") -> Lie:
    def lie(asked: Asked, connection: socket.socket, web: Web) -> bool:
        web.say(connection, status, [*lines, f"Content-Length: {len(content)}"], content)
        return True

    return lie


def test_it_comes_over_tls_from_a_server_that_a_ca_of_ours_certified(
    wanting: Wanting, source: Path, authority: Authority
) -> None:
    wanting.https = Download(ca_file=authority.ca_file)
    with serving(source, authority.certify("web", address=HOST)) as web:
        wanting.fetch(target_of(source), web_source(web.url))
    assert same(wanting.depot.candidate, source)
    assert [asked.headers["accept-encoding"] for asked in web.asked] == ["identity"] * 6


@pytest.mark.parametrize(
    ("address", "days", "ca", "told", "is_lost"),
    [
        ("127.0.0.2", (-1, 1), "own", "IP address mismatch", False),
        (HOST, (-1, 1), "other", "self-signed|unable to get", False),
        (HOST, (-1, 1), "system", "self-signed|unable to get", False),
        (HOST, (1, 2), "own", "not good at this time by this machine's clock", True),
        (HOST, (-2, -1), "own", "not good at this time by this machine's clock", True),
    ],
)
def test_a_certificate_that_is_wrong_is_told_and_nothing_is_taken(
    wanting: Wanting,
    source: Path,
    authority: Authority,
    tmp_path: Path,
    address: str,
    days: tuple[int, int],
    ca: str,
    told: str,
    is_lost: bool,
) -> None:
    (tmp_path / "other").mkdir()
    files = {"own": authority.ca_file, "other": Authority(tmp_path / "other", "them").ca_file, "system": None}
    wanting.https = Download(ca_file=files[ca])
    with serving(source, authority.certify("web", address=address, days=days)) as web:
        if is_lost:  # a clock is set some time
            wanting.is_cancelled = lambda: len(wanting.troubles()) > 1
            with pytest.raises(Stopped):
                wanting.fetch(target_of(source), web_source(web.url))
            assert told in wanting.troubles()[0]
        else:
            with pytest.raises(NotFetched, match=told) as caught:
                wanting.fetch(target_of(source), web_source(web.url))
            assert caught.value.code == 403
    assert web.asked == []


def test_a_ca_file_that_is_none_is_told(wanting: Wanting, source: Path) -> None:
    wanting.https = Download(ca_file=source / "manifest.yaml")
    with pytest.raises(NotFetched, match=r"remote\.download\.ca_file: .*no certificates in PEM"):
        wanting.fetch(target_of(source), web_source(f"https://{HOST}:1/"))


@pytest.mark.parametrize("size", [1, 70_000, 131_072])
def test_it_goes_on_by_ranges_where_connections_break(
    wanting: Wanting, source: Path, web: Web, size: int
) -> None:
    breaks = itertools.count()
    lie = closes_after(size)
    web.lie = more_only(lambda *all_of_it: next(breaks) < 4 and lie(*all_of_it))
    wanting.fetch(target_of(source), web_source(web.url))
    assert same(wanting.depot.candidate, source)
    ranges = [asked.begins for asked in web.asked if asked.path.endswith(MORE)]
    assert ranges == [number * size for number in range(len(ranges))]
    asked = [asked.headers.get("if-range") for asked in web.asked if asked.path.endswith(MORE)]
    assert asked == [None, *([tag_of((source / MORE).read_bytes())] * (len(ranges) - 1))]


def test_a_file_that_changed_meanwhile_is_taken_from_its_start(
    wanting: Wanting, source: Path, web: Web
) -> None:
    other = bytes(SIZE)

    def another_one(asked: Asked, connection: socket.socket, web: Web) -> bool:
        lines = [f"Content-Length: {SIZE}", f"ETag: {tag_of(other)}"]
        web.say(connection, 200, lines, other[:100_000])
        return True

    web.lie = more_only(first_time(another_one))
    wanting.fetch(target_of(source), web_source(web.url))
    assert same(wanting.depot.candidate, source)


def test_without_tags_bytes_of_two_files_are_told_apart_by_the_digest(
    wanting: Wanting, source: Path, web: Web
) -> None:
    def another_one(asked: Asked, connection: socket.socket, web: Web) -> bool:
        web.say(connection, 200, [f"Content-Length: {SIZE}"], bytes(100_000))
        return True

    web.lie = more_only(first_time(another_one))
    wanting.fetch(target_of(source), web_source(web.url))
    assert same(wanting.depot.candidate, source)
    ranges = [asked.begins for asked in web.asked if asked.path.endswith(MORE)]
    assert ranges == [0, 100_000, 0]


def test_a_server_that_knows_no_ranges_is_read_from_the_start(
    wanting: Wanting, source: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "OVERHEAD_BYTES", 1000)

    def knows_none(asked: Asked, connection: socket.socket, web: Web) -> bool:
        content = web.content(asked) or b""
        web.say(connection, 200, [f"Content-Length: {len(content)}"], content)
        return True

    parts = first_time(closes_after(200_000))
    web.lie = more_only(lambda *all_of_it: parts(*all_of_it) or knows_none(*all_of_it))
    wanting.fetch(target_of(source), web_source(web.url))
    assert same(wanting.depot.candidate, source)


def test_bytes_in_chunks_of_a_size_that_is_not_told_are_taken(
    wanting: Wanting, source: Path, web: Web
) -> None:
    def in_chunks(asked: Asked, connection: socket.socket, web: Web) -> bool:
        content = web.content(asked)
        if content is None:
            return False
        web.say(connection, 200, ["Transfer-Encoding: chunked"])
        for begins in range(0, len(content), 999):
            piece = content[begins : begins + 999]
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        return True

    web.lie = in_chunks
    wanting.fetch(target_of(source), web_source(web.url))
    assert same(wanting.depot.candidate, source)


def test_a_server_that_comes_back_is_asked_again(wanting: Wanting, source: Path, web: Web) -> None:
    answers = iter([resets, says(503, "Retry-After: 3"), says(429), says(500)])

    def lie(*all_of_it: object) -> bool:
        return next(answers, lambda *_: False)(*all_of_it)  # type: ignore[arg-type]

    web.lie = lie
    wanting.fetch(target_of(source), web_source(web.url))
    assert same(wanting.depot.candidate, source)
    assert len(wanting.troubles()) == 4


def test_a_server_that_is_not_there_is_asked_until_it_is(wanting: Wanting, source: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
    wanting.is_cancelled = lambda: len(wanting.troubles()) == 3
    with pytest.raises(Stopped):
        wanting.fetch(target_of(source), web_source(f"http://{HOST}:{port}/"))
    assert "Connection refused" in wanting.troubles()[0]


def endless(asked: Asked, connection: socket.socket, web: Web) -> bool:
    web.say(connection, 200, [])
    web.until_stopped(lambda: connection.sendall(bytes(65_536)))
    return True


def endless_headers(asked: Asked, connection: socket.socket, web: Web) -> bool:
    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    web.until_stopped(lambda: connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000))
    return True


def too_long(asked: Asked, connection: socket.socket, web: Web) -> bool:
    web.say(connection, 200, [f"Content-Length: {10**12}"], bytes(10))
    return True


def packed(asked: Asked, connection: socket.socket, web: Web) -> bool:
    content = gzip.compress(web.content(asked) or b"")
    web.say(connection, 200, ["Content-Encoding: gzip", f"Content-Length: {len(content)}"], content)
    return True


def packed_in_secret(asked: Asked, connection: socket.socket, web: Web) -> bool:
    content = gzip.compress(web.content(asked) or b"")
    web.say(connection, 200, [f"Content-Length: {len(content)}"], content)
    return True


def too_short(asked: Asked, connection: socket.socket, web: Web) -> bool:
    web.say(connection, 200, ["Content-Length: 1000"], (web.content(asked) or b"")[:1000])
    return True


def another_range(asked: Asked, connection: socket.socket, web: Web) -> bool:
    web.say(connection, 206, ["Content-Length: 10", "Content-Range: bytes 7-16/20"], bytes(10))
    return True


@pytest.mark.parametrize(
    ("lie", "code", "told"),
    [
        (endless, 413, "more than"),
        (endless_headers, 413, "sends more than"),
        (too_long, 413, "1000000000000 bytes, and at most [0-9]+ may come"),
        (packed, 422, "comes packed by gzip"),
        (packed_in_secret, 413, "300113 bytes, and at most 300000 may come"),
        (too_short, 422, "another digest"),
        (another_range, 422, "another range"),
        (says(404), 404, "answers 404"),
        (says(401), 403, "answers 401"),
        (says(403), 403, "answers 403"),
        (says(416), 404, "answers 416"),
        (says(204), 404, "answers 204"),
        (says(302, "Location: /bundle/elsewhere"), 404, "answers 404"),
        (says(302), 422, "does not say where"),
        (
            says(302, "Location: https://elsewhere.example/x"),
            403,
            "another server, https://elsewhere.example",
        ),
        (says(302, "Location: file:///etc/passwd"), 422, "no https address"),
        (says(302, "Location: http://[::1/"), 422, "no address"),
        (says(307, f"Location: http://{HOST}:9/x"), 403, "another server"),
    ],
)
def test_what_a_server_gets_wrong_for_good_is_the_end_of_it(
    wanting: Wanting, source: Path, web: Web, lie: Lie, code: int, told: str
) -> None:
    def once(asked: Asked, connection: socket.socket, web: Web) -> bool:
        return not asked.path.endswith("elsewhere") and lie(asked, connection, web)

    web.lie = more_only(once)
    with pytest.raises(NotFetched, match=told) as caught:
        wanting.fetch(target_of(source), web_source(web.url))
    assert caught.value.code == code
    assert not (wanting.depot.candidate / MORE).stat().st_size


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n" + bytes(400), "what answers there does not speak HTTP (SSH-2.0-OpenSSH"),
        (
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
            "does not speak HTTP (got more than 100 headers",
        ),
        (b"", "cannot be reached (Remote end closed connection"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nx",
            "the server closed within its answer",
        ),
    ],
)
def test_what_was_reached_and_answers_nonsense_is_not_called_out_of_reach(
    wanting: Wanting, source: Path, web: Web, said: bytes, told: str
) -> None:
    def lie(asked: Asked, connection: socket.socket, web: Web) -> bool:
        connection.sendall(said)
        return True

    web.lie = lie
    wanting.is_cancelled = lambda: bool(wanting.troubles())
    with pytest.raises(Stopped):
        wanting.fetch(target_of(source), web_source(web.url))
    assert told in wanting.troubles()[0] and len(wanting.troubles()[0]) < 250


def test_the_next_source_is_asked_after_a_server_that_lies(wanting: Wanting, source: Path, web: Web) -> None:
    web.lie = more_only(endless)
    wanting.fetch(target_of(source), web_source(web.url), folder_source(source))
    assert same(wanting.depot.candidate, source)


def test_it_follows_where_the_same_server_leads(wanting: Wanting, source: Path, web: Web) -> None:
    def lie(asked: Asked, connection: socket.socket, web: Web) -> bool:
        if "?moved" in asked.path:
            web.honest(Asked(path=asked.path.removesuffix("?moved"), headers=asked.headers), connection)
            return True
        return says(302, f"Location: {asked.path}?moved")(asked, connection, web)

    web.lie = lie
    wanting.fetch(target_of(source), web_source(web.url))
    assert same(wanting.depot.candidate, source)


def test_it_does_not_follow_for_ever(wanting: Wanting, source: Path, web: Web) -> None:
    web.lie = says(302, "Location: /bundle/again")
    with pytest.raises(NotFetched, match="leads on more than 5 times"):
        wanting.fetch(target_of(source), web_source(web.url))


GOOD = (
    b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "x"\r\n\r\nhello',
    b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 3-7/8\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nM: x\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /bundle/x\r\n\r\n",
    b"HTTP/1.1 503 No\r\nRetry-After: 5\r\n\r\n",
)
STRANGE = (b"\r\n", b"-1", b"99999999999999999999", b"\0", b"\xff", b":", b" ", b"gzip", b"\r\n\r\n")


def mutated(rng: random.Random) -> bytes:
    found = bytearray(rng.choice(GOOD))
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(found) + 1)
        found[place : place + rng.randrange(6)] = rng.choice((*STRANGE, b"", rng.randbytes(4)))
    return bytes(found)


def test_whatever_a_server_says_it_is_lost_or_unfit_or_understood(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paced, "WINDOW_S", 0.3)
    rng, outcomes = random.Random(1), set[type]()

    def lie(asked: Asked, connection: socket.socket, web: Web) -> bool:
        connection.sendall(mutated(rng))
        return True

    web.lie = lie
    for _ in range(200):
        try:
            with https.Https(web.url, Download(), SystemClock()).visit(lambda: False) as visit:
                list(visit.stretch("file", rng.choice([0, 3]), 100).pieces)
        except (Lost, Unfit) as error:
            outcomes.add(type(error))
    assert {Lost, Unfit} <= outcomes


@pytest.mark.parametrize("where", ["headers", "body"])
def test_a_server_that_drips_is_lost_after_a_window(
    wanting: Wanting, source: Path, web: Web, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(paced, "WINDOW_S", 0.3)

    def drips(asked: Asked, connection: socket.socket, web: Web) -> bool:
        if where == "body":
            web.say(connection, 200, [f"Content-Length: {SIZE}"])
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        web.until_stopped(lambda: connection.sendall(b"a"), pause_s=0.02)
        return True

    web.lie = more_only(first_time(drips))
    wanting.fetch(target_of(source), web_source(web.url))
    assert same(wanting.depot.candidate, source)
    assert " bytes in 0 s" in wanting.troubles()[0]


def test_a_server_that_says_nothing_does_not_hold_up_who_wants_to_stop(
    wanting: Wanting, source: Path, web: Web
) -> None:
    web.lie = lambda asked, connection, web: web.stopping.wait(30)
    wanting.is_cancelled = stop_at(SystemClock(), 0.3)
    began = SystemClock().monotonic_ns()
    with pytest.raises(Stopped):
        wanting.fetch(target_of(source), web_source(web.url))
    assert SystemClock().monotonic_ns() - began < 5e9


def test_a_server_that_gives_and_never_ends_is_given_up(wanting: Wanting, source: Path, web: Web) -> None:
    web.lie = more_only(lambda asked, connection, web: never_whole(asked, connection, web))
    with pytest.raises(NotFetched, match="bytes in vain"):
        wanting.fetch(target_of(source), web_source(web.url))


def never_whole(asked: Asked, connection: socket.socket, web: Web) -> bool:
    content = web.content(asked) or b""
    web.say(connection, 200, [f"Content-Length: {len(content)}"], content[:-1])
    return True


def test_a_deadline_counts_the_time_in_which_bytes_come(wanting: Wanting, source: Path, web: Web) -> None:
    clock = ManualClock()
    wanting.clock = clock

    def slow(asked: Asked, connection: socket.socket, web: Web) -> bool:
        clock.advance(10.0)
        return False

    web.lie = slow
    with pytest.raises(NotFetched, match="not all of it came in time") as caught:
        wanting.fetch(target_of(source), web_source(web.url), time_left_s=25.0)
    assert caught.value.code == 408
    assert 20.0 <= wanting.told[-1].linked_s < 40.0


def test_a_server_that_trickles_and_hangs_up_comes_to_its_deadline(
    wanting: Wanting, source: Path, web: Web
) -> None:
    clock = ManualClock()
    wanting.clock = clock

    def trickles(asked: Asked, connection: socket.socket, web: Web) -> bool:
        content = web.content(asked) or b""
        clock.advance(19.0)
        lines = [f"Content-Length: {len(content) - asked.begins}"]
        lines += [f"Content-Range: bytes {asked.begins}-{len(content) - 1}/{len(content)}"] * bool(
            asked.begins
        )
        web.say(connection, 206 if asked.begins else 200, lines, content[asked.begins :][:1])
        return True

    web.lie = more_only(trickles)
    with pytest.raises(NotFetched, match="not all of it came in time") as caught:
        wanting.fetch(target_of(source), web_source(web.url), time_left_s=600.0)
    assert caught.value.code == 408
    assert 20 < len(web.asked) < 40


def test_a_deadline_is_as_long_as_the_slowest_server_that_is_not_lost() -> None:
    assert deadline_s(0) == GRACE_S
    assert deadline_s(30_000_000) - GRACE_S == pytest.approx(30_000_000 / 1024)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://files.example/x", "not encrypted"),
        ("ftp://files.example/x", "no https address"),
        ("file:///etc/passwd", "no https address"),
        ("https:///x", "no https address"),
        ("https://a b/x", "no https address"),
        ("https://files.example/\r\nHost: x", "no https address"),
        ("https://files.example:99999/x", "no address"),
        ("https://who:secret@files.example/x", "a login in it"),
        ("plain", "no https address"),
    ],
)
def test_addresses_that_are_none_of_ours_are_not_asked(url: str, told: str) -> None:
    with pytest.raises(Unfit, match=told) as caught:
        address_of(url, allows_plain=False)
    assert "secret" not in str(caught.value)


def test_an_address_may_be_plain_on_this_machine_or_where_the_settings_say_so() -> None:
    for url in ("http://localhost/x", "http://127.0.0.1:8/x", "http://[::1]/x"):
        address_of(url, allows_plain=False)
    address_of("http://files.example/x", allows_plain=True)


def test_files_lie_below_the_address_and_a_query_stays() -> None:
    address = address_of("https://files.example/a b%20c/?key=1#top".replace(" ", "+"), allows_plain=False)
    assert file_below(address, "golden/x y.npy") == "https://files.example/a+b%20c/golden/x%20y.npy?key=1"


def test_other_servers_are_followed_where_the_settings_name_them() -> None:
    def led(to: str, hosts: tuple[str, ...] = (), *, plain: bool = False) -> str:
        return redirected("https://files.example/x", to, allows_plain=plain, hosts=hosts)

    assert led("/y") == "https://files.example/y"
    assert led("https://files.example:443/y") == "https://files.example:443/y"
    assert led("https://cdn.example/y", ("cdn.example",)) == "https://cdn.example/y"
    for to in ("http://files.example/x", "https://files.example:444/x", "https://cdn.example/y"):
        with pytest.raises(Unfit):
            led(to, plain=True)


@pytest.mark.parametrize("after", ["5", "999999", "Wed, 21 Oct 2015 07:28:00 GMT", "-1", "1e9"])
def test_a_wait_that_a_server_asks_for_is_bounded(after: str) -> None:
    with pytest.raises(Lost) as caught:
        accepted(503, {"retry-after": after}, offset=0, limit=10, name="x")
    assert caught.value.wait_s == {"5": 5.0, "999999": 60.0}.get(after, 0.0)


def test_bytes_that_a_power_cut_spoilt_are_taken_anew(wanting: Wanting, source: Path, web: Web) -> None:
    web.lie = more_only(first_time(closes_after(200_000)))
    wanting.is_cancelled = lambda: bool(wanting.troubles())
    with pytest.raises(Stopped):
        wanting.fetch(target_of(source), web_source(web.url))
    left = wanting.depot.candidate / MORE
    left.write_bytes(bytes(left.stat().st_size))
    wanting.is_cancelled = lambda: False
    wanting.fetch(target_of(source), web_source(web.url))
    assert same(wanting.depot.candidate, source)
    assert [asked.begins for asked in web.asked if asked.path.endswith(MORE)] == [0, 200_000, 0]
