"""Whatever stands in an address as user, password or token is shown nowhere; the rest helps to find it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import logs
from agent.address import connectable, masked, masked_text, masked_values
from agent.cameras.camera import CameraError
from agent.cameras.video.stream import StreamCamera
from agent.clock import SystemClock
from agent.settings.camera import VideoSource
from agent.settings.settings import Logs
from tests.fakes import good_picture

WORDS = st.from_regex(r"[A-Z]{3}[0-9]{3}", fullmatch=True)
SEPARATORS = st.text("@/#?&:;=+%!$*~()[]", min_size=1, max_size=3)
NAMES = st.sampled_from(
    ["password", "pwd", "Token", "sig", "key", "auth", "access_token", "user", "x", "p%77d"]
)


@st.composite
def secrets(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A password with separators in it, and the words that must not be seen."""
    words = draw(st.lists(WORDS, min_size=1, max_size=4))
    return "".join(word + draw(SEPARATORS) for word in words[:-1]) + words[-1], words


@given(st.sampled_from(["rtsp", "http", "RTSP", "rtmp", "https"]), secrets(), st.booleans())
def test_user_and_password_end_at_the_last_at(scheme: str, secret: tuple[str, list[str]], bare: bool) -> None:
    password, words = secret
    address = f"{scheme}://admin:{password}@camera.example:554/stream"
    for shown in (
        masked(address),
        masked_text(f"before {address}: after"),
        masked(address.replace("//", "/", 1)),
    ):
        assert not any(word in shown for word in words), shown
        assert "admin" not in shown
    if not set("?&#;") & set(password):
        assert masked(address) == f"{scheme}://***@camera.example:554/***"


@given(NAMES, secrets())
def test_nothing_of_a_query_is_shown(name: str, secret: tuple[str, list[str]]) -> None:
    value, words = secret
    for address in (
        f"http://u:{words[0]}@host/live?{name}={value}",
        f"http://host/live?user=admin&{name}={value}",
        f"rtsp://host/user=admin&{name}={words[0]}&channel=1",
        f"/srv/admin:{words[0]}@host/live",
    ):
        assert not any(word in masked(address) for word in words), masked(address)


@pytest.mark.parametrize(
    "place",
    [
        "/dev/video0",
        "/data/part[red].mp4",
        "rtsp://cam-3:554",
        "http://[::1]:8080/",
        "a-b-1",
        "s3://plant/runs/a",
    ],
)
def test_what_holds_no_secret_stays(place: str) -> None:
    assert masked(place) == place
    assert masked_text(f"{place}: no video") == f"{place}: no video"


@given(secrets())
def test_a_camera_with_any_password_can_be_asked(secret: tuple[str, list[str]]) -> None:
    password = secret[0].replace("%", "").replace("=", "")  # a query before an @ cannot be told from one
    parts = urlsplit(connectable(f"rtsp://admin:{password}@10.0.0.9:554/stream"))
    assert (parts.hostname, parts.port, parts.path) == ("10.0.0.9", 554, "/stream")
    assert unquote(parts.password or "") == password
    assert connectable(parts.geturl()) == parts.geturl()


@settings(max_examples=20)
@given(secrets())
def test_a_lost_camera_does_not_say_its_password(secret: tuple[str, list[str]]) -> None:
    class Torn:
        def read(self) -> tuple[bool, object]:
            return False, good_picture(8, 8)

        def release(self) -> None: ...

    source = VideoSource(url=f"rtsp://admin:{secret[0]}@host/live?token={secret[1][0]}")
    camera = StreamCamera("top", source, SystemClock(), connect=lambda _: Torn())  # type: ignore[arg-type, return-value]
    camera.open()
    with pytest.raises(CameraError) as caught:
        camera.grab(10.0)
    camera.close()
    assert not any(word in str(caught.value) for word in secret[1])


def test_the_log_masks_what_others_said(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    logs.configure(Logs())
    try:
        try:
            raise OSError("cannot open rtsp://admin:p@ss/GEHEIM1@host and http://h/x?token=GEHEIM2")
        except OSError as error:
            structlog.get_logger().exception("failed", detail=str(error), each=[{"a": str(error)}])
    finally:
        structlog.configure(**before)
    line = capsys.readouterr().err
    assert "GEHEIM" not in line and json.loads(line)["event"] == "failed"


@given(secrets(), st.sampled_from(["cam.example", "[fd00::7]:554", "10.0.0.9"]))
def test_no_part_of_an_address_but_the_host_is_shown(secret: tuple[str, list[str]], host: str) -> None:
    value, words = secret
    for address in (
        f"rtsps://{host}/{words[0]}/live",
        f"https://{host}/services/{'/'.join(words)}",
        f"http://{host}/live#{value}",
        f"srt://{host}?passphrase={value}",
        f"rtsp:\\/\\/admin:{words[0]}@{host}\\/live",
        f"rtsp:\\\\admin:{words[0]}@{host}\\live",
        f"rtsp%3A%2F%2Fadmin%3A{words[0]}%40cam",
        f"8rtsp://admin:{words[0]}@{host}/live",
        f"admin:{words[0]}@{host}/live?token={words[-1]}",
        f"//admin:{words[0]}@{host}/live",
        f"rtsp:admin:{words[0]}@{host}/live",
    ):
        for shown in (masked(address), masked_text(f"cannot open '{address}': no"), masked_text(address)):
            assert not any(word in shown for word in words), shown
            assert "%3A" in address or "@" in value or host in shown


def test_nothing_that_an_event_holds_is_rendered_unmasked(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    logs.configure(Logs())
    try:
        error = OSError("cannot open rtsp://admin:GEHEIM1@host")
        structlog.get_logger().error("failed", error=error, path=Path("/srv/admin:GEHEIM2@host"), of={error})
    finally:
        structlog.configure(**before)
    assert "GEHEIM" not in capsys.readouterr().err


@pytest.mark.parametrize("thread", [False, True])
def test_a_trace_of_what_nobody_foresaw_is_masked(thread: bool) -> None:
    code = (
        "from agent import logs; from agent.settings.settings import Logs; import threading\n"
        "logs.configure(Logs())\n"
        "def fail():\n"
        "    try: raise ValueError('rtsp://admin:GEHEIM'+'1@host')\n"
        "    except ValueError as error: raise OSError('http://h/?t=GEHEIM'+'2') from error\n"
    ) + ("t=threading.Thread(target=fail); t.start(); t.join()" if thread else "fail()")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ValueError: rtsp://***@host" in done.stderr and "OSError" in done.stderr
    assert "GEHEIM1" not in done.stderr and "GEHEIM2" not in done.stderr
    assert done.returncode == (0 if thread else 1)


def test_values_that_are_no_text_stay() -> None:
    assert masked_values({"a": 1, "b": [None, 2.5, "http://u:p@h"]}) == {
        "a": 1,
        "b": [None, 2.5, "http://***@h"],
    }
