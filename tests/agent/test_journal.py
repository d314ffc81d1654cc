"""Under systemd every event stands in the journal with its fields, and none is lost where it cannot."""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from agent.journal import NAME_BYTES, VALUE_BYTES, ToJournal, datagram, fields, is_journal

EVENT = {
    "event": "frame_not_judged",
    "level": "warning",
    "timestamp": "2026-11-29T09:00:00Z",
    "station": "cell3-cam1",
    "camera": "top",
    "frame": 4711,
    "error": "no such device",
}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    """A journal's socket: what it hears is read from it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "socket"))
        heard.settimeout(5.0)
        yield heard


def parsed(message: bytes) -> dict[str, str]:
    """As journald reads it."""
    found: dict[str, str] = {}
    while message:
        line, _, rest = message.partition(b"\n")
        name, is_plain, value = line.partition(b"=")
        if not is_plain:
            (size,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + size], rest[8 + size + 1 :]
        found[name.decode()] = value.decode()
        message = rest
    return found


def test_an_event_is_one_datagram_with_its_fields_and_a_readable_message(
    tmp_path: Path, journal: socket.socket
) -> None:
    send = ToJournal({"station"}, str(tmp_path / "socket"))
    with pytest.raises(structlog.DropEvent):
        send(None, "warning", dict(EVENT))
    assert parsed(journal.recv(1 << 20)) == {
        "MESSAGE": 'frame_not_judged camera=top frame=4711 error="no such device"',
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "plumbline",
        "PLUMBLINE_EVENT": "frame_not_judged",
        "PLUMBLINE_STATION": "cell3-cam1",
        "PLUMBLINE_CAMERA": "top",
        "PLUMBLINE_FRAME": "4711",
        "PLUMBLINE_ERROR": "no such device",
    }


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3")]
)
def test_the_priority_is_the_levels(level: str, priority: str) -> None:
    assert fields({"event": "a", "level": level})["PRIORITY"] == priority


def test_a_trace_stands_below_the_message_and_whole_in_its_field() -> None:
    trace = "Traceback:\n  line\nValueError: why"
    told = parsed(datagram(fields({"event": "failed", "level": "error", "exception": trace})))
    assert told["MESSAGE"] == f"failed\n{trace}"
    assert told["PLUMBLINE_EXCEPTION"] == trace


def test_no_value_can_bring_a_field_of_its_own_or_draw_on_a_terminal() -> None:
    evil = 'x\nPRIORITY=0\nMESSAGE=all is well "\x1b[2J'
    told = parsed(datagram(fields({"event": "a", "level": "info", "detail": evil})))
    assert set(told) == {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "PLUMBLINE_EVENT", "PLUMBLINE_DETAIL"}
    assert told["PRIORITY"] == "6" and told["PLUMBLINE_DETAIL"] == evil
    assert "\n" not in told["MESSAGE"] and "\x1b" not in told["MESSAGE"]


@pytest.mark.parametrize("value", [None, 3, 2.5, True, [1, "b"], {"a": {"b": 1}}, "", "\udcff", "ü"])
def test_any_value_is_a_field(value: Any) -> None:
    told = parsed(datagram(fields({"event": "a", "level": "info", "odd": value})))
    text = value if isinstance(value, str) else json.dumps(value)
    assert told["PLUMBLINE_ODD"] == text.replace("\udcff", "?")


def test_names_are_as_the_journal_takes_them_and_long_values_are_cut() -> None:
    told = parsed(datagram(fields({"event": "a", "level": "info", "a-b c": "ä" * VALUE_BYTES, "x" * 90: 1})))
    assert len(told["PLUMBLINE_A_B_C"].encode()) == VALUE_BYTES + 3 and told["PLUMBLINE_A_B_C"][-3:] == "..."
    assert max(map(len, told)) == NAME_BYTES


def test_without_a_journal_the_event_is_a_line_of_json_behind_its_priority(tmp_path: Path) -> None:
    line = ToJournal((), str(tmp_path / "absent"))(None, "warning", dict(EVENT))
    assert line[:3] == "<4>" and json.loads(line[3:]) == EVENT


def test_an_event_that_is_too_large_for_a_datagram_is_a_line_of_json(
    tmp_path: Path, journal: socket.socket
) -> None:
    event = {"event": "a", "level": "info", **{f"n{number}": "x" * VALUE_BYTES for number in range(60)}}
    assert ToJournal((), str(tmp_path / "socket"))(None, "info", event).startswith('<6>{"event": "a"')


def test_a_stream_is_the_journals_where_systemd_says_so() -> None:
    with open(os.devnull, "w", encoding="utf-8") as stream:  # noqa: PTH123
        found = os.fstat(stream.fileno())
        said = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert is_journal(stream, said)
        assert not is_journal(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"})
        assert not is_journal(stream, {})
    assert not is_journal(stream, said), "it is closed"
    assert not is_journal(io.StringIO(), said)


REAL = """
mount -t tmpfs run /run && mkdir -p /run/systemd/journal /run/log/journal/$(cat /etc/machine-id) || exit 77
$JOURNALD & journald=$!
until [ -S /run/systemd/journal/socket ]; do sleep 0.05; done
$PYTHON -c "$SPEAK"
for try in $(seq 100); do
    journalctl --directory=/run/log/journal -o export --no-pager SYSLOG_IDENTIFIER=plumbline >$OUT
    [ -s $OUT ] && break; sleep 0.05
done
kill $journald; wait
"""


def test_a_real_journal_holds_the_fields(tmp_path: Path) -> None:
    journald, out = Path("/usr/lib/systemd/systemd-journald"), tmp_path / "told"
    if not (journald.exists() and Path("/etc/machine-id").exists() and os.getuid() == 0):
        pytest.skip("needs systemd-journald, a machine-id, and root for a /run of its own")
    speak = f"from agent.journal import SOCKET, ToJournal; ToJournal((), SOCKET)(None, 'warning', {EVENT})"
    known = {"JOURNALD": str(journald), "PYTHON": sys.executable, "SPEAK": speak, "OUT": str(out)}
    done = subprocess.run(
        ["unshare", "--mount", "--fork", "--kill-child", "sh", "-c", REAL],
        capture_output=True,
        env={**os.environ, **known},
        timeout=60,
        check=False,
    )
    if done.returncode == 77 or b"unshare" in done.stderr:
        pytest.skip("no /run of its own may be mounted here")
    told = parsed(out.read_bytes().rstrip(b"\n") + b"\n")
    assert (told["PLUMBLINE_CAMERA"], told["PLUMBLINE_FRAME"], told["PRIORITY"]) == ("top", "4711", "4")
    assert told["SYSLOG_IDENTIFIER"] == "plumbline" and told["_TRANSPORT"] == "journal"


def speaks(code: str, folder: Path, **settings: str) -> str:
    """Standard error of a process for which it is the journal's."""
    code = (
        "import os; found = os.fstat(2); os.environ['JOURNAL_STREAM'] = f'{found.st_dev}:{found.st_ino}'\n"
        "from agent import journal, logs; from agent.settings.settings import Logs; import structlog\n"
        f"journal.SOCKET = {str(folder / 'socket')!r}\n"
        f"logs.configure(Logs(**{settings!r}), station='cell3-cam1')\n"
        "log = structlog.get_logger()\n"
    ) + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stderr


def test_under_systemd_no_setting_is_needed(tmp_path: Path, journal: socket.socket) -> None:
    assert speaks("log.info('running', camera='top')", tmp_path) == ""
    told = parsed(journal.recv(1 << 20))
    assert told["MESSAGE"] == "running camera=top" and told["PLUMBLINE_STATION"] == "cell3-cam1"


@pytest.mark.parametrize(("format_", "begin"), [("json", '{"station": "cell3-cam1"'), ("console", "20")])
def test_whoever_asks_for_json_or_console_gets_it_under_systemd_too(
    tmp_path: Path, journal: socket.socket, format_: str, begin: str
) -> None:
    assert speaks("log.info('running')", tmp_path, format=format_).startswith(begin)


def test_what_nobody_foresaw_is_critical_line_by_line(tmp_path: Path) -> None:
    lines = speaks("raise ValueError('why')", tmp_path).splitlines()
    assert lines[-1] == "<2>ValueError: why" and all(line.startswith("<2>") for line in lines)


def test_what_was_left_out_is_said_when_the_process_ends(tmp_path: Path, journal: socket.socket) -> None:
    assert speaks("for _ in range(100): log.warning('camera', camera='top')", tmp_path) == ""
    told = [parsed(journal.recv(1 << 20)) for _ in range(11)]
    assert {one["MESSAGE"] for one in told[:-1]} == {"camera camera=top"}
    last = told[-1]
    assert (last["PLUMBLINE_EVENT"], last["PLUMBLINE_LINES"]) == ("lines_left_out", "90")
    assert json.loads(last["PLUMBLINE_OF"]) == {"camera top warning": 90}


def test_a_journal_that_nobody_reads_holds_no_line_up_and_what_is_lost_is_counted(
    tmp_path: Path, journal: socket.socket
) -> None:
    send = ToJournal((), str(tmp_path / "socket"))
    for _ in range(100_000):
        with pytest.raises(structlog.DropEvent):
            send(None, "info", dict(EVENT))
        if send.lost:
            break
    assert send.lost == 1
