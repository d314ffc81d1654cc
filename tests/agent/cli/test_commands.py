"""Every command ends as its contract says; what a person got wrong is one clear line, never a trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest
import yaml

from agent.cli.main import main
from agent.clock import SystemClock
from agent.outbox import file as outbox_file
from agent.outbox import waiting
from agent.outbox.outbox import Outbox
from tests.agent.engines.small_bundle import write_small
from tests.agent.outbox import version_1
from tests.agent.outbox.rows import crop, verdict
from tests.brokers import DEADLINE_S, free_port
from tests.fakes import good_picture

CONFIG = Path(__file__).resolve().parents[3] / "config"
TIMEOUT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def complaint(self) -> str:
        """The one line on standard error."""
        (line,) = self.err.splitlines()
        assert "Traceback" not in line
        return line


Plumbline = Callable[..., Ended]


@pytest.fixture
def plumbline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Plumbline:
    """A command in this process: a trace would be this test's own failure."""
    for name in [name for name in os.environ if name.startswith("PLUMBLINE_")]:
        monkeypatch.delenv(name)

    def call(*words: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["plumbline", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return Ended(code=int(end.value.code or 0), out=captured.out, err=captured.err)

    return call


def process(*words: str | Path) -> Ended:
    """Python in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE_")}
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env=clean,
    )
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_small(tmp_path / "small")


def config(folder: Path, **sections: object) -> Path:
    """A settings file without page and broker."""
    path = folder / "agent.yaml"
    quiet = {"page": {"enabled": False}, "mqtt": {"port": 1}, "outbox": {"path": "outbox.sqlite3"}}
    path.write_text(yaml.safe_dump({**quiet, **sections}))
    return path


@pytest.mark.parametrize("file", ["agent.yaml", "sites/example.yaml"])
def test_validate_without_files_accepts_the_shipped_ones_and_says_what_it_did_not_see(
    plumbline: Plumbline, file: str
) -> None:
    ended = plumbline("validate", "--no-files", CONFIG / file)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"{CONFIG / file}: good, digest ")
    assert ended.out.endswith("were not looked at\n")


def test_validate_names_the_line_of_what_is_not_there(plumbline: Plumbline) -> None:
    ended = plumbline("validate", CONFIG / "agent.yaml")
    lines = (CONFIG / "agent.yaml").read_text().splitlines()
    bundle, frames = lines.index("bundle: bundle") + 1, lines.index("      path: frames") + 1
    said = ended.err.splitlines()
    assert ended.code == 2 and len(said) == 2
    assert said[0].startswith(f"{CONFIG}/agent.yaml:{bundle}: bundle: {CONFIG}/bundle: no such bundle")
    assert said[1].startswith(f"{CONFIG}/agent.yaml:{frames}: cameras.0.source.path: {CONFIG}/frames: ")


def test_validate_prints_every_problem_in_a_line_of_its_own(plumbline: Plumbline, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("mqtt:\n  port: 0\n  tls: on\npage: {prot: 1}\n")
    ended = plumbline("validate", path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        f"{path}:2: mqtt.port: Input should be greater than or equal to 1 (got 0)",
        f"{path}:3: mqtt.tls: Input should be a valid boolean (got 'on')",
        f"{path}:4: page.prot: unknown key; did you mean port?",
    ]


def test_validate_of_a_missing_file_says_so(plumbline: Plumbline, tmp_path: Path) -> None:
    ended = plumbline("validate", tmp_path / "none.yaml")
    assert ended.code == 2 and "none.yaml: no such file" in ended.complaint()


@pytest.mark.parametrize("what", ["settings", "verdict", "event", "status", "metrics", "command"])
def test_schema_prints_a_valid_json_schema(plumbline: Plumbline, what: str) -> None:
    ended = plumbline("schema", what)
    assert (ended.code, ended.err) == (0, "")
    jsonschema.Draft202012Validator.check_schema(json.loads(ended.out))


def test_the_schema_of_settings_is_the_file_in_config(plumbline: Plumbline) -> None:
    assert plumbline("schema", "settings").out == (CONFIG / "agent.schema.json").read_text(encoding="utf-8")


def test_an_unknown_schema_or_command_is_a_usage_error(plumbline: Plumbline) -> None:
    for words in (["schema", "weather"], ["fly"], ["validate"], ["run"]):
        ended = plumbline(*words)
        assert ended.code == 2 and "Traceback" not in ended.err


def test_simulate_says_what_it_told_and_what_waits(plumbline: Plumbline, tmp_path: Path) -> None:
    words = ("simulate", "--hours", "0.05", "--rate-hz", "0.2", "--port", str(free_port()), "--outbox")
    ended = plumbline(*words, tmp_path / "outbox.sqlite3")
    assert ended.code == 1 and f"stay in {tmp_path}" in ended.err
    first, second = ended.out.splitlines()
    assert " verdicts: " in first and second.startswith("sequence 1 to ") and " rows waiting" in second


def test_simulate_with_an_id_that_cannot_stand_in_a_topic_says_so(plumbline: Plumbline) -> None:
    ended = plumbline("simulate", "--station", "Cell 3")
    assert ended.code == 2 and "station: 'Cell 3' cannot stand in a topic" in ended.complaint()


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("simulate",), "--hours"),
        (("simulate",), "--speed"),
        (("simulate",), "--rate-hz"),
        (("demo",), "--duration"),
        (("bench",), "--seconds"),
        (("calibrate", "flat", "-c", "x", "--camera", "a"), "--exposure-us"),
        (("calibrate", "scale", "-c", "x", "--camera", "a"), "--pitch-mm"),
        (("outbox", "export", "-c", "x"), "--to"),
        (("simulate",), "--seed"),
    ],
)
@pytest.mark.parametrize("number", ["inf", "-inf", "nan", "-1", "1e300", "9" * 30, "x"])
def test_a_number_out_of_reason_is_a_usage_error(
    plumbline: Plumbline, words: tuple[str, ...], option: str, number: str
) -> None:
    ended = plumbline(*words, f"{option}={number}")
    assert ended.code == 2 and "Traceback" not in ended.err and option in ended.err


@pytest.mark.parametrize(
    "name", ["part[red].png", "lot[/b].png", "[line3].yaml", ":smile:.png", "a\x1b[31mb.png"]
)
def test_names_are_shown_as_they_are(plumbline: Plumbline, bundle: Path, tmp_path: Path, name: str) -> None:
    visible = name.replace("\x1b", "\\x1b")
    missing = plumbline("inspect", tmp_path / name, "--bundle", bundle)
    assert missing.code == 2 and visible in missing.complaint()
    missing = plumbline("validate", tmp_path / name)
    assert missing.code == 2 and f"{visible}: no such file" in missing.complaint()
    cv2.imwrite(str(tmp_path / "good.png"), good_picture(40, 40))
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / "good.png").rename(tmp_path / f"{name}.png")
    judged = plumbline("inspect", tmp_path / f"{name}.png", "--bundle", bundle)
    assert judged.code == 0 and Path(visible).name in judged.out
    file = config(tmp_path, bundle=str(bundle)).rename(tmp_path / f"{name}.yaml")
    assert f"{visible}.yaml: good" in plumbline("validate", "--no-files", file).out


def test_wrong_paths_are_told_before_anything_slow_is_imported(tmp_path: Path) -> None:
    script = """
import sys
from agent.cli.main import main
sys.argv = ["plumbline", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert end.code == 2
print({"torch", "cv2", "openvino", "numpy"} & set(sys.modules))
"""
    for words in (
        ("inspect", "none.png", "--bundle", "none"),
        ("inspect", tmp_path, "--bundle", "none"),
        ("bundle", "verify", "none", "--key", "none.pem"),
        ("calibrate", "flat", "-c", "none", "--camera", "a", "--white", "none.png"),
        ("calibrate", "scale", "-c", "none", "--camera", "a", "--pitch-mm", "1", "--source", "none.png"),
        ("validate", "none.yaml"),
    ):
        ended = process("-c", script, *words)
        assert ended.out.splitlines()[-1] == "set()", words
        assert "none" in ended.complaint() and "source.path" not in ended.err


def test_a_camera_that_is_tried_does_not_show_its_password(plumbline: Plumbline) -> None:
    for address in ("http://u:p@ss/GEH#EIM?@127.0.0.1:1/x", "rtsp://127.0.0.1:1/x?user=a&password=GEHEIM"):
        ended = plumbline("camera", "test", address)
        assert ended.code == 2 and "GEH" not in ended.err + ended.out and "127.0.0.1:1" in ended.err


def test_bundle_info_says_what_is_inside(plumbline: Plumbline, bundle: Path) -> None:
    ended = plumbline("bundle", "info", bundle)
    assert (ended.code, ended.err) == (0, "")
    assert "CC0-1.0" in ended.out and "0.5000" in ended.out


def test_bundle_info_of_a_missing_path_says_so(plumbline: Plumbline, tmp_path: Path) -> None:
    ended = plumbline("bundle", "info", tmp_path / "none")
    assert ended.code == 2 and "none: no such bundle" in ended.complaint()


def test_bundle_verify_runs_the_golden_tiles_here(plumbline: Plumbline, bundle: Path) -> None:
    ended = plumbline("bundle", "verify", bundle)
    assert ended.code == 0, ended.err
    assert "3 files match" in ended.out and "openvino-f32 within" in ended.out


def test_bundle_verify_ends_with_1_when_the_bundle_is_missing_or_changed(
    plumbline: Plumbline, bundle: Path, tmp_path: Path
) -> None:
    ended = plumbline("bundle", "verify", tmp_path / "none")
    assert ended.code == 1 and "none: no such bundle" in ended.complaint()
    (bundle / "model.onnx").write_bytes(b"another model")
    ended = plumbline("bundle", "verify", bundle)
    assert ended.code == 1 and "model.onnx" in ended.complaint() and "copy the bundle again" in ended.err


def test_run_with_a_missing_bundle_says_which_setting(tmp_path: Path) -> None:
    ended = process("-m", "agent", "run", "-c", config(tmp_path, bundle="none"))
    assert ended.code == 2 and "check the setting `bundle`" in ended.complaint()


def test_run_with_an_empty_folder_of_frames_says_so_and_waits_for_frames(
    bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "frames").mkdir()
    command = ["-m", "agent", "run", "-c", str(config(tmp_path, bundle=str(bundle)))]
    with subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        events = (json.loads(line) for line in running.stderr)
        said = next(event for event in events if "holds no image" in event.get("detail", ""))
        assert said["level"] == "warning" and str(tmp_path / "frames") in said["detail"]
        running.terminate()
        for event in events:
            assert event["level"] in ("info", "warning")
    assert running.returncode == 0


def test_run_judges_a_folder_to_its_end(plumbline: Plumbline, bundle: Path, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, level in enumerate((20, 20, 240)):
        cv2.imwrite(str(frames / f"{number}.png"), np.full((40, 40), level, np.uint8))
    path = config(tmp_path, bundle=str(bundle))
    ended = process("-m", "agent", "run", "-c", path)
    assert ended.code == 0, ended.err
    assert json.loads(ended.err.splitlines()[-1])["last_sequence"] == 3
    status = plumbline("outbox", "status", "-c", path)
    assert status.code == 0 and "  verdict  3" in status.out and "  crop     1" in status.out


def test_outbox_status_of_a_missing_file_says_so(plumbline: Plumbline, tmp_path: Path) -> None:
    ended = plumbline("outbox", "status", "-c", config(tmp_path))
    assert ended.code == 2 and "outbox.sqlite3" in ended.complaint()


def test_outbox_status_works_beside_a_running_agent(plumbline: Plumbline, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite3", clock=SystemClock())
    outbox.open()
    outbox.append([verdict(1), crop(1, 2000)]).result(DEADLINE_S)
    ended = plumbline("outbox", "status", "-c", config(tmp_path))
    outbox.close()
    assert ended.code == 0 and "2 rows, " in ended.out


def test_inspect_judges_files_and_writes_a_report(plumbline: Plumbline, bundle: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "good.png"), good_picture(40, 40))
    cv2.imwrite(str(tmp_path / "bad.png"), np.full((40, 40), 240, np.uint8))
    out = tmp_path / "report"
    ended = plumbline(
        "inspect", tmp_path / "good.png", tmp_path / "bad.png", "--bundle", bundle, "--out", out
    )
    assert ended.code == 0, ended.err
    records = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    assert [(record["part_id"], record["verdict"]) for record in records] == [
        ("good", "pass"),
        ("bad", "fail"),
    ]
    assert {path.name for path in out.iterdir()} == {"report.jsonl", "good.png", "bad.png"}


def test_inspect_ends_with_1_when_a_file_is_no_picture(
    plumbline: Plumbline, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "torn.png").write_bytes(b"not a picture")
    ended = plumbline("inspect", tmp_path / "torn.png", "--bundle", bundle)
    assert ended.code == 1 and "torn.png" in ended.out and "skipped" in ended.out


def test_inspect_of_an_empty_folder_says_so(plumbline: Plumbline, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = plumbline("inspect", tmp_path / "empty", "--bundle", bundle)
    assert ended.code == 2 and "empty: holds no image" in ended.complaint()


def test_help_needs_neither_torch_nor_opencv_nor_openvino() -> None:
    script = """
import sys
from agent.cli.main import main
sys.argv = ["plumbline", "--help"]
try:
    main()
except SystemExit as end:
    assert end.code == 0
print({"torch", "cv2", "openvino", "numpy"} & set(sys.modules))
"""
    ended = process("-c", script)
    assert ended.code == 0 and ended.out.splitlines()[-1] == "set()", ended.err


@pytest.fixture
def delivered(tmp_path: Path) -> Iterator[Outbox]:
    """Verdicts 1 to 5 delivered, 6 waiting."""
    outbox = Outbox(tmp_path / "outbox.sqlite3", clock=SystemClock())
    outbox.open()
    outbox.append([verdict(sequence) for sequence in range(1, 6)]).result(DEADLINE_S)
    outbox.delivered([one.seq for one in outbox.lease(10)])
    outbox.append([verdict(6)]).result(DEADLINE_S)
    yield outbox
    outbox.close()


def test_outbox_status_says_what_can_be_replayed_and_what_was_refused(
    plumbline: Plumbline, tmp_path: Path, delivered: Outbox
) -> None:
    with closing(outbox_file.connect(delivered.path, synchronous="NORMAL")) as database:
        waiting.note_refusal(database, "mqtt", 6, "the broker said Not authorized (0x87)", 0)
    ended = plumbline("outbox", "status", "-c", config(tmp_path))
    assert "5 delivered verdicts kept, 1 to 5" in ended.out
    assert "refused by mqtt, 1 times: row 6, the broker said Not authorized (0x87)" in ended.out


def test_outbox_export_prints_delivered_verdicts_as_json_lines(
    plumbline: Plumbline, tmp_path: Path, delivered: Outbox
) -> None:
    ended = plumbline("outbox", "export", "-c", config(tmp_path), "--from", 2, "--to", 9)
    assert [json.loads(line)["sequence"] for line in ended.out.splitlines()] == [2, 3, 4, 5]


def test_outbox_replay_queues_delivered_verdicts_and_says_when_there_are_none(
    plumbline: Plumbline, tmp_path: Path, delivered: Outbox
) -> None:
    ended = plumbline("outbox", "replay", "-c", config(tmp_path), "--from", 4, "--to", 9)
    assert (ended.code, "2 verdicts will be said again" in ended.out) == (0, True)
    again = [one.row.id for one in delivered.lease(10, replays=10) if one.replayed]
    assert again == ["verdict-4", "verdict-5"]
    assert plumbline("outbox", "replay", "-c", config(tmp_path), "--from", 7, "--to", 9).code == 1


def test_the_outbox_commands_do_not_touch_a_file_of_another_schema(
    plumbline: Plumbline, tmp_path: Path
) -> None:
    version_1.write(tmp_path / "outbox.sqlite3", delivered=1, waiting=1)
    before = (tmp_path / "outbox.sqlite3").read_bytes()
    for command in (("export",), ("replay", "--from", 1, "--to", 2)):
        ended = plumbline("outbox", command[0], "-c", config(tmp_path), *command[1:])
        assert ended.code == 2 and "start the agent once" in ended.complaint()
    assert (tmp_path / "outbox.sqlite3").read_bytes() == before


def station_with_target(folder: Path, white: int) -> Path:
    """Settings of a simulated line camera before an even target, and a checker of 20 px beside them."""
    light = white * (1 - 0.5 * np.linspace(-1, 1, 200) ** 2)
    target = np.clip(light + np.random.default_rng(0).normal(0, 1, (300, 200)), 0, 255)
    cv2.imwrite(str(folder / "target.png"), target.round().astype(np.uint8))
    y, x = np.mgrid[0:400, 0:600] + 0.5
    checker = (np.sin(2 * np.pi * x / 20) * np.sin(2 * np.pi * y / 10) > 0) * 200
    cv2.imwrite(str(folder / "checker.png"), checker.astype(np.uint8))
    source = {"kind": "linescan-sim", "path": "target.png", "line_rate_hz": 100000.0}
    file = folder / "station.yaml"
    file.write_text(yaml.safe_dump({"version": 1, "cameras": [{"name": "top", "source": source}]}))
    return file


def test_calibrate_flat_stores_a_file_that_the_settings_can_name(
    plumbline: Plumbline, tmp_path: Path
) -> None:
    station = station_with_target(tmp_path, 150)
    ended = plumbline(
        "calibrate", "flat", "-c", station, "--camera", "top", "--dark", "none", "--lines", "500"
    )
    stored = tmp_path / "calibration" / "top.npz"
    assert ended.code == 0 and stored.exists(), ended.err
    assert "200 columns of 8 bits from 0 dark and" in ended.out and f"file: {stored.resolve()}" in ended.out
    settings = yaml.safe_load(station.read_text())
    settings["cameras"][0]["flat_field"] = {"file": "calibration/top.npz"}
    station.write_text(yaml.safe_dump(settings))
    again = plumbline(
        "calibrate", "flat", "-c", station, "--camera", "top", "--white", tmp_path / "target.png"
    )
    assert again.code == 2 and "dark picture: its mean is" in again.complaint()
    assert plumbline("validate", "--no-files", station).code == 0


def test_calibrate_flat_refuses_a_saturated_target_and_an_unknown_camera(
    plumbline: Plumbline, tmp_path: Path
) -> None:
    station = station_with_target(tmp_path, 300)
    ended = plumbline(
        "calibrate", "flat", "-c", station, "--camera", "top", "--dark", "none", "--lines", "300"
    )
    assert ended.code == 2 and "shorten the exposure" in ended.complaint()
    assert not (tmp_path / "calibration").exists()
    ended = plumbline("calibrate", "flat", "-c", station, "--camera", "side")
    assert ended.code == 2 and "no such camera, there are top" in ended.complaint()


def test_calibrate_scale_says_what_to_set_and_how_sure_it_is(plumbline: Plumbline, tmp_path: Path) -> None:
    station, checker = station_with_target(tmp_path, 150), tmp_path / "checker.png"
    ended = plumbline(
        "calibrate", "scale", "-c", station, "--camera", "top", "--pitch-mm", "2", "--source", checker
    )
    across, down = (line.split() for line in ended.out.splitlines())
    assert (across[0], float(across[1])) == ("mm_per_px:", pytest.approx(0.1, rel=1e-3))
    assert (down[0], float(down[1])) == ("mm_per_line:", pytest.approx(0.2, rel=1e-3))
    assert "+-" in across and "%," in across[4]
    ended = plumbline(
        "calibrate", "scale", "-c", station, "--camera", "top", "--pitch-mm", "2", "--lines", "300"
    )
    assert ended.code == 2 and "no regular target" in ended.complaint()


def test_engines_are_built_listed_and_pruned(plumbline: Plumbline, tmp_path: Path) -> None:
    write_small(tmp_path / "small")
    config = tmp_path / "station.yaml"
    wanted = {"version": 1, "bundle": "small", "engine": {"kind": "openvino", "threads": 1}}
    config.write_text(yaml.safe_dump(wanted))
    assert "0 engines, 0.0 MB" in plumbline("engines", "list", "-c", config).out
    built = plumbline("engines", "build", "-c", config)
    assert built.code == 0 and "compiled in" in built.out and "golden scores within" in built.out
    assert "from the cache in" in plumbline("engines", "build", "-c", config).out
    listed = plumbline("engines", "list", "-c", config)
    assert "1 engines" in listed.out and "openvino" in listed.out
    (file,) = (tmp_path / "engines").iterdir()
    kept = plumbline("engines", "prune", "-c", config)
    assert "0 deleted, 1 kept" in kept.out
    file.write_bytes(file.read_bytes()[:-1])
    pruned = plumbline("engines", "prune", "-c", config)
    assert f"deleted {file}" in pruned.out and "1 deleted, 0 kept" in pruned.out
    plumbline("engines", "build", "-c", config)
    assert "1 deleted, 0 kept" in plumbline("engines", "prune", "-c", config, "--all").out


def test_an_engine_that_cannot_be_had_ends_the_build_with_the_remedy(
    plumbline: Plumbline, tmp_path: Path
) -> None:
    write_small(tmp_path / "small")
    config = tmp_path / "station.yaml"
    wanted = {"version": 1, "bundle": "small", "engine": {"kind": "torch_tensorrt", "device": "cpu"}}
    config.write_text(yaml.safe_dump(wanted))
    ended = plumbline("engines", "build", "-c", config)
    assert ended.code == 2
    assert "engine.device: torch_tensorrt does not run on cpu; set auto or another kind" in ended.complaint()
