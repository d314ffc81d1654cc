"""A run in a store is whole or not there, and a store that fails is told in words that help."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli.program import run as run_program
from models import store
from models.cli.main import app
from models.store import ObjectPath, StoreError, place, write
from tests.stores import SECRET, Answer, answering, environment, working


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with working() as found:
        yield found


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ObjectPath]:
    """A run in the store at an address, which is asked once."""
    monkeypatch.setattr(store, "TRIES", 1)
    monkeypatch.setattr(store, "WAITS_S", ())

    def placed(endpoint: str) -> ObjectPath:
        for name, value in environment(endpoint).items():
            monkeypatch.setenv(name, value)
        found = place("s3://plant/runs/a")
        assert isinstance(found, ObjectPath)
        return found

    return placed


@pytest.fixture
def run(at: Callable[[str], ObjectPath], endpoint: str) -> ObjectPath:
    """A run in the bucket of a store that works."""
    found = at(endpoint)
    if not found.files.exists("plant"):
        found.files.mkdir("plant")
    return found


def test_an_object_is_put_read_and_replaced(run: ObjectPath, tmp_path: Path) -> None:
    one = run / "one.csv"
    assert not one.is_file()
    write(one, b"1")
    write(one, b"22")
    assert one.is_file()
    assert (one.read_bytes(), one.read_text()) == (b"22", "22")
    (tmp_path / "here").write_bytes(b"333")
    one.put_file(tmp_path / "here")
    one.get_file(tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == b"333"
    assert not run.is_file()  # what several names begin with
    assert (one.name, one.parent, str(one)) == ("one.csv", run, "s3://plant/runs/a/one.csv")


def test_of_two_that_put_a_new_object_one_is_told_that_it_came_second(run: ObjectPath) -> None:
    assert (run / "new").put_new(b"first")
    assert not (run / "new").put_new(b"second")
    assert (run / "new").read_bytes() == b"first"


def test_a_bucket_that_is_not_there_is_told_and_not_taken_for_an_empty_one(run: ObjectPath) -> None:
    other = place("s3://no-such-bucket/run")
    for act in (other.is_file, lambda: write(other, b"")):
        with pytest.raises(StoreError, match=r"s3://no-such-bucket/run: there is no such bucket; make it"):
            act()


def test_an_object_that_is_not_there_is_told(run: ObjectPath) -> None:
    with pytest.raises(StoreError, match=r"s3://plant/runs/a/none: is not there; check the address"):
        (run / "none").read_bytes()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            Answer(403, "AccessDenied"),
            "the store denies it; these credentials need s3:GetObject, s3:PutObject",
        ),
        (Answer(403, "InvalidAccessKeyId"), "does not take these credentials; renew them"),
        (Answer(403, "SignatureDoesNotMatch"), "does not take these credentials; renew them"),
        (Answer(400, "ExpiredToken"), "does not take these credentials; renew them"),
        (Answer(403, "RequestTimeTooSkewed"), "this machine's clock is wrong; set it"),
        (Answer(507, "XMinioStorageFull"), "the store has no room left; make room there"),
        (Answer(403, "QuotaExceeded"), "the store has no room left; make room there"),
        (
            Answer(503, "SlowDown"),
            "out of order or too busy; look at the store; then the same command goes on",
        ),
        (Answer(500, "InternalError"), "out of order or too busy; look at the store"),
        (Answer(400, "Unheard"), r"cannot do it \(.*Unheard.*\); look at the store; then the same command"),
    ],
    ids=lambda one: one.code if isinstance(one, Answer) else "",
)
def test_what_a_store_refuses_is_told_with_the_remedy_and_nothing_secret(
    at: Callable[[str], ObjectPath], answer: Answer, words: str
) -> None:
    with answering(answer) as endpoint:
        refused = at(endpoint) / "run.yaml"
        with pytest.raises(StoreError, match=rf"^s3://plant/runs/a/run\.yaml: .*{words}") as told:
            write(refused, b"a run")
        assert SECRET not in str(told.value)


@pytest.mark.parametrize("status", [403, 500, 503, 507])
def test_a_store_that_does_not_say_whether_an_object_is_there_is_never_taken_for_no(
    at: Callable[[str], ObjectPath], status: int
) -> None:
    with answering(Answer(status)) as endpoint, pytest.raises(StoreError):
        (at(endpoint) / "checkpoint.pt").is_file()


def test_a_store_that_is_away_or_silent_or_breaks_off_is_told(
    at: Callable[[str], ObjectPath], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (
        r"the store does not answer; check the network and AWS_ENDPOINT_URL; then the same command goes on"
    )
    with answering(Answer(200, missing=90)) as endpoint, pytest.raises(StoreError, match=words):
        at(endpoint).read_bytes()
    monkeypatch.setattr(store, "ANSWER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(StoreError, match=words):
            at(endpoint).is_file()  # connected, and nothing comes
    with pytest.raises(StoreError, match=words):
        at(endpoint).is_file()  # nobody listens any more


def test_what_is_put_waits_for_a_store_that_comes_back_and_what_is_refused_does_not(
    run: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WAITS_S", (0, 0))
    tried: list[str] = []

    class Files:
        def __init__(self, error: Exception, fails: int) -> None:
            self.error, self.fails = error, fails

        def pipe_file(self, path: str, content: bytes) -> None:
            tried.append(path)
            if len(tried) <= self.fails:
                raise self.error

    def put(files: Files) -> int:
        tried.clear()
        ObjectPath(bucket="plant", key="a", files=files).put(b"")
        return len(tried)

    assert put(Files(TimeoutError(), 2)) == 3
    with pytest.raises(StoreError, match="does not answer"):
        put(Files(TimeoutError(), 3))
    with pytest.raises(StoreError, match="Unforeseen"):
        put(Files(type("Unforeseen", (Exception,), {})(), 1))
    assert len(tried) == 1


def test_credentials_that_are_not_set_are_told(
    at: Callable[[str], ObjectPath], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = at("http://127.0.0.1:9")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(StoreError, match="no credentials for it are set; set AWS_ACCESS_KEY_ID"):
        there.is_file()


@pytest.mark.parametrize("address", ["runs/a", "/runs/a", "C:runs", "a:b", "file:///runs/a%20b", "FILE:///x"])
def test_a_path_and_an_address_of_this_machine_are_paths(address: str) -> None:
    path = address[7:].replace("%20", " ") if "://" in address else address
    assert place(address) == Path(path)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3:/plant/run", "no address of a run; give a path, file:///PATH or s3://BUCKET/RUN"),
        ("s3:plant/run", "no address of a run"),
        ("gs://plant/run", "no address of a run"),
        ("file://host/run", "no address of a run"),
        ("s3://plant", "names no run in a bucket"),
        ("s3://", "names no run in a bucket"),
        ("s3://plant/../run", "names no run in a bucket"),
        ("s3://plant/run?versionId=1", "names no run in a bucket"),
    ],
)
def test_what_is_no_address_of_a_run_is_refused(address: str, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        place(address)


@pytest.mark.parametrize(
    "address", [f"s3://key:{SECRET}@plant/run", f"s3://{SECRET}@plant/run", f"S3://key:{SECRET}/run"]
)
def test_credentials_in_an_address_are_refused_and_not_repeated(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["plumbline-lab", "train", "glad", "--data", "x", "--out", address])
    assert run_program(app, "plumbline-lab", json_errors=False) == 2
    said = capsys.readouterr()
    assert "the address holds credentials" in said.err
    assert SECRET not in said.out + said.err


def test_no_trace_of_a_failure_shows_credentials(at: Callable[[str], ObjectPath]) -> None:
    with answering(Answer(403, "AccessDenied")) as endpoint:
        refused = at(endpoint)
        try:
            refused.is_file()
        except StoreError as error:
            assert SECRET not in "".join(traceback.format_exception(error))
    assert SECRET not in repr(refused)


def test_a_command_that_writes_to_this_machine_refuses_a_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["x", "sample", "elpv", "--out", "s3://plant/elpv"])
    assert run_program(app, "plumbline-lab", json_errors=False) == 2
    assert "give a path of this machine" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_a_store_whose_library_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def missing(*_: Any, **__: Any) -> Any:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(StoreError, match=r"not installed; pip install 'plumbline\[store\]'"):
        place("s3://plant/run")
