"""The webhook against a real HTTP server: what arrives, and what its answers lead to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import SupportsIndex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.clock import ManualClock
from agent.contract.row import Row
from agent.gateways.gateway import GatewayError, Unacceptable
from agent.gateways.webhook import (
    LANES,
    ROWS,
    WebhookSink,
    cloud_event_headers,
    read_secret,
    retry_after_s,
    signature,
)
from agent.settings.gateways import WebhookGateway
from tests.agent.gateways.receiver import Answer, Receiver, receiver
from tests.agent.gateways.records import JPEG, FakeRecords, crop, gateway, result_id, verdict, waiting
from tests.agent.outbox.rows import TOPICS
from tests.agent.uplink.authority import Authority
from tests.brokers import eventually, free_port

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
SECRET = bytes(range(32))


@pytest.fixture
def mes() -> Iterator[Receiver]:
    with receiver() as one:
        yield one


def sink(url: str, **others: object) -> WebhookSink:
    settings = WebhookGateway.model_validate({"url": url, **others})
    return WebhookSink(settings, ManualClock(NOW))


def deliver(one: WebhookSink, *rows: Row) -> None:
    one.open()
    try:
        one.deliver(waiting(rows))
    finally:
        one.close()


def test_a_verdict_is_a_cloud_event_with_its_json_as_the_body(mes: Receiver) -> None:
    row = verdict(1)
    deliver(sink(mes.url + "?line=3"), row)
    (request,) = mes.requests
    assert request.path == "/inspection?line=3"
    assert request.body == row.payload
    assert request.headers["content-type"] == "application/json"
    attributes = {name: value for name, value in request.headers.items() if name.startswith("ce-")}
    assert attributes == {
        "ce-specversion": "1.0",
        "ce-id": result_id(1),
        "ce-source": TOPICS.prefix,
        "ce-type": "plumbline.verdict/1",
        "ce-time": "2026-11-24T07:15:03.412Z",
    }
    assert "webhook-signature" not in request.headers


def test_a_picture_is_the_body_and_its_properties_are_extensions(mes: Receiver) -> None:
    deliver(sink(mes.url), crop(1))
    (request,) = mes.requests
    assert (request.body, request.headers["content-type"]) == (JPEG, "image/jpeg")
    assert request.headers["ce-resultid"] == result_id(1)
    assert request.headers["ce-cropid"] == request.headers["ce-id"] == "c1"
    assert request.headers["ce-sha256"] == hashlib.sha256(JPEG).hexdigest()
    assert request.headers["ce-bbox"] == "412,88,30,22"


def test_values_that_headers_cannot_hold_are_percent_encoded() -> None:
    row = Row(
        id="x",
        kind="event",
        topic="t",
        payload=b"",
        content_type="",
        properties=(("a_b", 'Euro € 50% "x"\r\nX: 1'),),
    )
    assert cloud_event_headers(row) == {"ce-ab": "Euro%20%E2%82%AC%2050%25%20%22x%22%0D%0AX:%201"}


def test_an_id_that_no_header_can_hold_is_unacceptable(mes: Receiver) -> None:
    for id_ in ("a\r\nb: c", "€"):
        row = Row(id=id_, kind="event", topic="t", payload=b"", content_type="text/plain")
        with pytest.raises(Unacceptable, match="it cannot stand in headers"):
            deliver(sink(mes.url), row)
    assert mes.requests == []


def test_the_receiver_can_check_the_signature(mes: Receiver, tmp_path: Path) -> None:
    secret_file = tmp_path / "secret"
    secret_file.write_text(f"whsec_{base64.b64encode(SECRET).decode()}\n")
    secret_file.chmod(0o600)
    deliver(sink(mes.url, secret_file=secret_file), crop(1))
    headers, body = mes.requests[0].headers, mes.requests[0].body
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET, signed, "sha256").digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_the_signature_is_that_of_the_specifications_example() -> None:
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "text", ["", "hunter2", "whsec_", "whsec_AAAA", "whsec_!!!!", "whsec_" + "A" * 400, "geheim\u00df"]
)
def test_a_secret_that_is_none_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(
        GatewayError, match=r"write whsec_ and 24 to 64 random bytes|is empty; write"
    ) as caught:
        read_secret(path)
    assert not text or text not in str(caught.value) or text == "whsec_"


def test_a_missing_secret_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match=r"secret_file: .*nothing: No such file or directory"):
        read_secret(tmp_path / "nothing")


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422, 431])
def test_a_record_that_the_receiver_will_never_have_is_unacceptable(mes: Receiver, status: int) -> None:
    mes.answers = [Answer(status=status, body=b"no such\r\nfield")]
    with pytest.raises(Unacceptable) as caught:
        deliver(sink(mes.url + "?token=hush"), verdict(1))
    assert caught.value.seq == 1
    assert (
        caught.value.reason == f"{mes.url.removesuffix('/inspection')}: it answered {status} no such  field"
    )


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 408, 410, 429, 500, 503])
def test_any_other_answer_is_a_failure_and_the_record_stays(mes: Receiver, status: int) -> None:
    mes.answers = [Answer(status=status, headers={"Location": "http://127.0.0.1:1/"})]
    with pytest.raises(GatewayError, match=f"it answered {status}; see the receiver's log"):
        deliver(sink(mes.url), verdict(1))
    assert len(mes.requests) == 1


def test_retry_after_is_honoured_by_the_gateway(mes: Receiver) -> None:
    mes.answers = [Answer(status=503, headers={"Retry-After": "120"}, body=b"later")]
    clock = ManualClock(NOW)
    records = FakeRecords([verdict(1)])
    webhook = sink(mes.url)
    one = gateway(records, webhook, clock=clock)
    one.step()
    assert clock.monotonic_ns() == 120_000_000_000 and records.cursor == 0
    assert one.state.failing is not None and "503 later" in one.state.failing
    one.step()
    webhook.close()
    assert records.cursor == 1
    assert mes.taken() == [result_id(1)] * 2


@pytest.mark.parametrize(
    ("header", "pause_s"),
    [
        (None, 0.0),
        ("30", 30.0),
        ("99999999", 900.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("Tue, 24 Nov 2026 12:00:45 GMT", 45.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("Tue, 24 Nov 2026 12:00:45 -0000", 45.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, pause_s: float) -> None:
    assert retry_after_s(header, NOW) == pause_s


@given(header=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=40))
@example("\xb2")
@example("1\xb9")
@example("0\x1f")
@example("Mon, 01 Jan 2099 00:00:00 +999999999999999")
@example("Mon, 01 Jan 99999999999999999999 00:00:00 GMT")
def test_no_retry_after_ends_the_gateway(header: str) -> None:
    assert 0 <= retry_after_s(header, NOW) <= 900


def test_rows_go_over_one_connection_and_an_idle_one_that_was_closed_costs_nothing(mes: Receiver) -> None:
    one = sink(mes.url)
    one.open()
    one.deliver(waiting([verdict(1)]))
    one.deliver(waiting([verdict(2)]))
    assert mes.connections == 1
    mes.lasting = False
    for number in range(3, 6):
        one.deliver(waiting([verdict(number)]))
    one.close()
    assert list(dict.fromkeys(mes.taken())) == [result_id(number) for number in range(1, 6)]


def test_an_answer_without_end_is_not_read(mes: Receiver) -> None:
    mes.answers = [Answer(status=500, body=b"x" * 10_000_000)]
    with pytest.raises(GatewayError) as caught:
        deliver(sink(mes.url), verdict(1))
    assert len(str(caught.value)) < 300


def test_a_receiver_that_hangs_up_or_is_silent_or_absent_is_a_failure_with_a_remedy(mes: Receiver) -> None:
    mes.answers = [Answer(hang_up=True)]
    with pytest.raises(GatewayError, match="the exchange broke off"):
        deliver(sink(mes.url), verdict(1))
    late = threading.Event()
    mes.answers = [Answer(wait=late)]
    with pytest.raises(GatewayError, match="no answer in time; check url, network and timeout_s"):
        deliver(sink(mes.url, timeout_s=0.1), verdict(1))
    late.set()
    with pytest.raises(GatewayError, match="connection refused; check url"):
        deliver(sink(f"http://127.0.0.1:{free_port()}/"), verdict(1))
    with pytest.raises(GatewayError, match="the name does not resolve"):
        deliver(sink("https://mes.invalid/"), verdict(1))


def test_only_a_receiver_that_the_ca_vouches_for_is_trusted(tmp_path: Path) -> None:
    plant, somebody = Authority(tmp_path, "plant"), Authority(tmp_path, "somebody")
    with receiver(tls=plant.certify("127.0.0.1", address="127.0.0.1")) as mes:
        deliver(sink(mes.url, ca_file=plant.ca_file), verdict(1))
        assert mes.taken() == [result_id(1)]
        for other in ({"ca_file": somebody.ca_file}, {}):
            with pytest.raises(GatewayError, match=r"certificate is not trusted \(.*\); check ca_file"):
                deliver(sink(mes.url, **other), verdict(2))
        with pytest.raises(GatewayError, match="not usable as certificates"):
            deliver(sink(mes.url, ca_file=tmp_path / "none"), verdict(2))
    assert len(mes.requests) == 1


def test_records_arrive_through_failures_and_the_refused_one_is_reported(mes: Receiver) -> None:
    mes.answers = [Answer(), Answer(status=500), Answer(status=422), Answer(hang_up=True)]
    records = FakeRecords([verdict(number) for number in range(1, 6)])
    reported: list[str] = []
    webhook = sink(mes.url)
    one = gateway(
        records,
        webhook,
        clock=ManualClock(NOW),
        on_unacceptable=lambda unacceptable: reported.append(unacceptable.row.id),
    )
    while one.step():
        pass
    webhook.close()
    assert len(reported) == 1
    assert set(mes.taken()) == {result_id(number) for number in range(1, 6)}
    assert mes.taken()[0] == result_id(1)  # alone, as long as nothing is known of the receiver
    assert (one.state.delivered, one.state.unacceptable) == (4, 1)


class Flaky(list[Answer]):
    """Answers for ever: each is bad by chance, or where the turn says so."""

    def __init__(self, bad: Answer, is_bad: Callable[[int], bool]) -> None:
        super().__init__([Answer()])  # never empty
        self._bad, self._is_bad, self._turn = bad, is_bad, itertools.count()

    def pop(self, index: SupportsIndex = 0) -> Answer:
        return self._bad if self._is_bad(next(self._turn)) else Answer()


@pytest.mark.parametrize(
    "bad",
    [Answer(status=500), Answer(status=503), Answer(status=429), Answer(status=408), Answer(hang_up=True)],
    ids=lambda bad: str(bad.status if not bad.hang_up else "hang up"),
)
@pytest.mark.parametrize("every", ["second", "half"])
def test_a_receiver_that_fails_half_of_the_time_has_all_within_seconds(
    mes: Receiver, bad: Answer, every: str
) -> None:
    rng = random.Random(2)
    mes.answers = Flaky(
        bad, (lambda turn: turn % 2 == 1) if every == "second" else lambda _: rng.random() < 0.5
    )
    records = FakeRecords([verdict(number) for number in range(1, 25)])
    one = gateway(records, sink(mes.url))
    one.start()
    began = time.monotonic()
    eventually(lambda: records.cursor == 24, "all have arrived")
    one.stop()
    assert time.monotonic() - began < 8
    assert set(mes.taken()) == {result_id(number) for number in range(1, 25)}
    assert one.state.delivered == 24


def test_a_row_that_is_refused_for_now_holds_no_other_and_none_is_late_by_more_than_a_batch(
    mes: Receiver,
) -> None:
    records = FakeRecords([verdict(number) for number in range(1, 41)])
    stubborn = result_id(5)
    mes.refuses = lambda request: request.headers["webhook-id"] == stubborn and len(mes.requests) < 30
    webhook = sink(mes.url)
    one = gateway(records, webhook)
    while records.cursor < 40:
        one.step()
    webhook.close()
    arrived = list(dict.fromkeys(reversed(mes.taken())))[::-1]
    for place, id_ in enumerate(arrived):
        if id_ != stubborn:
            assert abs(place + 1 - int(id_[-12:])) < ROWS
    assert mes.taken().count(stubborn) > 1
    others = [id_ for id_ in mes.taken() if id_ != stubborn]
    assert len(others) == len(set(others)) == 39  # what has arrived is not sent again


def test_a_working_receiver_has_several_at_once_and_never_more_than_the_lanes(mes: Receiver) -> None:
    mes.delay_s = 0.02
    records = FakeRecords([verdict(number) for number in range(1, 33)])
    webhook = sink(mes.url)
    one = gateway(records, webhook)
    while records.cursor < 32:
        one.step()
    webhook.close()
    assert 1 < mes.most_at_once <= LANES
    assert sorted(mes.taken()) == [result_id(number) for number in range(1, 33)]


def test_a_receiver_that_is_away_is_asked_by_one_row_at_a_time(mes: Receiver) -> None:
    mes.answers = Flaky(Answer(status=500), lambda _: True)
    webhook = sink(mes.url)
    records = FakeRecords([verdict(number) for number in range(1, 20)])
    one = gateway(records, webhook, clock=ManualClock())
    for _ in range(4):
        one.step()
    webhook.close()
    assert mes.taken() == [result_id(1)] * 4
    assert one.state.failures == 4
    assert (webhook.tries_failed, one.tries_failed) == (4, 8), "rows, and rows and deliveries"


def test_a_pause_that_the_receiver_asks_for_ends_the_batch(mes: Receiver) -> None:
    records, clock = FakeRecords([verdict(number) for number in range(1, 20)]), ManualClock(NOW)
    webhook = sink(mes.url)
    one = gateway(records, webhook, clock=clock)
    one.step()
    assert records.cursor == 8
    before_ns = clock.monotonic_ns()
    mes.answers = Flaky(Answer(status=429, headers={"Retry-After": "77"}), lambda _: True)
    one.step()
    webhook.close()
    assert clock.monotonic_ns() - before_ns >= 77_000_000_000
    assert len(mes.requests) <= 8 + LANES


def test_a_receiver_that_never_answers_does_not_hold_another_gateway(
    mes: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.gateways.gateway.STOP_S", 0.2)
    never = threading.Event()
    with receiver() as silent:
        silent.answers = [Answer(wait=never)]
        stuck, free = FakeRecords([verdict(1)]), FakeRecords([verdict(1), verdict(2)])
        gateways = [gateway(stuck, sink(silent.url)), gateway(free, sink(mes.url))]
        for one in gateways:
            one.start()
        eventually(lambda: free.cursor == 2 and silent.requests, "the free one delivers")
        for one in gateways:
            one.stop()
        assert stuck.cursor == 0
        never.set()
        gateways[0]._thread.join()
