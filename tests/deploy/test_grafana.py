"""Whatever dashboard and alerts ask for, a station says: no panel is empty and no alert is mute by a name."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from agent.app import build
from agent.clock import SystemClock
from agent.contract.metrics import METRICS, STAGES
from agent.crew import Crew
from agent.settings import camera as camera_settings
from agent.settings import settings
from agent.settings.gateways import FolderGateway
from tests.documents.blocks import ROOT

FOLDER = ROOT / "deploy" / "grafana"
SAMPLE = ROOT / "models/bundles/elpv"
TARGET = {"job", "instance", "station"}  # labels that the scrape configuration gives to each series
OF_PROMETHEUS = {"up": TARGET}
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
WORDS = {"and", "or", "sum", "max", "rate", "increase", "changes", "deriv", "time", "histogram_quantile"}
UNITS = {"none", "s", "bytes", "percentunit", "cps"}
PATIENCE_S = 60.0

DASHBOARD = json.loads((FOLDER / "plumbline.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = yaml.safe_load((FOLDER / "plumbline.rules.yml").read_text(encoding="utf-8"))
ALERTS = [alert for group in RULES["groups"] for alert in group["rules"]]


class Series(NamedTuple):
    """What an expression asks for."""

    name: str
    labels: frozenset[str]


def asked(expression: str) -> list[Series]:
    """Every metric of an expression, with the labels that choose among its series."""
    bare = re.sub(r"\b(by|ignoring|on) \([^)]*\)|\[[^\]]*\]", "", expression)
    found = []
    for name, braces in re.findall(r"([a-zA-Z_]\w*)(\{[^}]*\})?", bare):
        if name not in WORDS:
            labels = re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", braces)
            found.append(Series(name, frozenset(labels)))
    return found


def grouped(expression: str) -> set[str]:
    """The labels by which an expression puts series together."""
    lists = re.findall(r"\b(?:by|ignoring|on) \(([^)]*)\)", expression)
    return {label.strip() for one in lists for label in one.split(",")}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Every series of a station that runs, as its page says it, and the labels of each.

    Labels of what it has had no occasion for, such as a driver's counts, are those of the table.
    """
    folder = tmp_path_factory.mktemp("station")
    (folder / "pictures").mkdir()
    cv2.imwrite(str(folder / "pictures/a.png"), np.full((300, 300), 99, np.uint8))
    wanted = settings.Settings(
        bundle=SAMPLE,
        cameras=(
            camera_settings.Camera(
                name="top",
                source=camera_settings.FolderSource(path=folder / "pictures", repeat=True, rate_hz=20),
            ),
        ),
        engine=settings.Engine(kind="openvino", threads=1, cache=folder / "engines"),
        outbox=settings.Outbox(path=folder / "outbox.sqlite3", min_free_bytes=0),
        mqtt=settings.Mqtt(port=1),
        page=settings.Page(port=0),
        gateways=(FolderGateway(name="files", path=folder / "files"),),
    )
    crew = Crew()
    app = build(wanted, SystemClock(), crew)
    running = threading.Thread(target=app.run)
    running.start()
    try:
        ends_s = time.monotonic() + PATIENCE_S
        while app.watch.metrics.snapshot()["inspect_seconds"]["count"] < 3:
            assert running.is_alive() and time.monotonic() < ends_s, "no frame was judged"
            time.sleep(0.1)
        assert app.page is not None
        with urllib.request.urlopen(f"{app.page.url}metrics", timeout=10) as answer:
            families = [*text_string_to_metric_families(answer.read().decode())]
    finally:
        crew.stop.set()
        running.join(PATIENCE_S)
    found: dict[str, set[str]] = dict(OF_PROMETHEUS)
    table = {f"plumbline_{metric.name}": metric.labels for metric in METRICS}
    for family in families:
        for suffix in SUFFIXES[family.type]:
            extra = {"le"} if suffix == "_bucket" else set()
            found[family.name + suffix] = TARGET | extra | set(table.get(family.name, ()))
        for sample in family.samples:
            assert set(sample.labels) <= found.get(sample.name, TARGET), sample.name
    return found


def expressions() -> Iterator[tuple[str, str, str]]:
    """Where an expression stands, the expression, and the words that are made of its result."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]
    for alert in ALERTS:
        words = " ".join(alert["annotations"].values())
        yield alert["alert"], alert["expr"], " ".join(re.findall(r"\$labels\.\w+", words))
    for one in DASHBOARD["annotations"]["list"][1:]:
        yield one["name"], one["expr"], one["titleFormat"]
    for variable in DASHBOARD["templating"]["list"][1:]:
        query = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
        assert query is not None
        yield variable["name"], query[1], f"{{{{{query[2]}}}}}"


@pytest.mark.parametrize(
    ("place", "expression", "words"), [pytest.param(*one, id=one[0]) for one in expressions()]
)
def test_every_metric_and_label_of_a_panel_or_alert_is_one_of_a_station(
    known: dict[str, set[str]], place: str, expression: str, words: str
) -> None:
    series = asked(expression)
    assert series
    there: set[str] = set()
    for one in series:
        assert one.name in known, f"{place}: no station has {one.name}"
        assert one.labels <= known[one.name], f"{place}: {one.name} has no {one.labels - known[one.name]}"
        there |= known[one.name]
    assert grouped(expression) <= there
    left = grouped(expression) if " by (" in expression else there
    assert set(re.findall(r"(?:\{\{|\$labels\.)(\w+)", words)) <= left


def test_every_metric_of_the_table_stands_in_a_panel() -> None:
    shown = {one.name for panel in PANELS for target in panel["targets"] for one in asked(target["expr"])}
    for metric in METRICS:
        assert shown & {f"plumbline_{metric.name}{suffix}" for suffix in SUFFIXES[metric.kind]}, metric.name


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_has_a_unit_words_and_the_chosen_stations(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["description"].endswith(".")
    assert panel["datasource"]["uid"] == "${datasource}"
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == "${datasource}"
        for braces in re.findall(r"\{([^}]*)\}", target["expr"]):
            assert 'station=~"$station"' in braces
        assert target["expr"].count("{") == len(asked(target["expr"]))


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_the_unit_is_that_of_what_is_shown(panel: dict[str, Any]) -> None:
    """Seconds as seconds, bytes as bytes, a rate as a rate; a share is one of two numbers, or is named so."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        expression, names = target["expr"], [one.name for one in asked(target["expr"])]
        if any("_seconds" in name and not name.endswith("_seconds_total") for name in names):
            assert unit == ("none" if expression.startswith("changes") else "s")
        elif any(name.endswith("_bytes") for name in names):
            assert unit == "bytes"
        elif " / " in expression or names[0].endswith("_ratio") or "cpu" in names[0]:
            assert unit == ("s" if expression.startswith("1 / ") else "percentunit")
        else:
            assert unit == ("cps" if "rate(" in expression else "none")


def test_the_dashboard_can_be_imported_and_its_panels_lie_side_by_side() -> None:
    assert DASHBOARD["id"] is None and DASHBOARD["uid"] == "plumbline" and DASHBOARD["schemaVersion"] >= 38
    names = [(one["type"], one["name"]) for one in DASHBOARD["templating"]["list"]]
    assert names == [("datasource", "datasource"), ("query", "station"), ("query", "camera")]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for one, other in combinations((panel["gridPos"] for panel in DASHBOARD["panels"]), 2):
        assert one["x"] + one["w"] <= 24
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_whose_it_is_how_bad_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert "$labels.station" in alert["annotations"]["summary"]
    assert len(alert["annotations"]["description"]) > 20
    assert alert["alert"] in (FOLDER / "plumbline.rules.test.yml").read_text(encoding="utf-8")


def test_the_limit_of_frames_that_are_not_judged_is_the_settings() -> None:
    (alert,) = (one for one in ALERTS if one["alert"] == "PlumblineNotJudged")
    assert alert["expr"].endswith(f"> {settings.Health().max_unjudged_share}")


def test_every_target_has_the_label_that_all_go_by() -> None:
    scrapes = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    assert scrapes["rule_files"] == ["plumbline.rules.yml"]
    (job,) = scrapes["scrape_configs"]
    assert job["job_name"] == "plumbline"
    assert all(one["labels"].keys() == {"station"} for one in job["static_configs"])


def test_the_document_names_every_metric_and_every_stage_with_its_meaning() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    for metric in METRICS:
        name = f"`plumbline_{metric.name}{'_total' if metric.kind == 'counter' else ''}`"
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        assert [name, metric.kind, labels, metric.help] in rows
    for stage, words in STAGES.items():
        assert [f"`{stage}`", words] in rows
    for row in (panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"):
        assert any(cells[0] == row for cells in rows)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "plumbline.rules.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "plumbline.rules.test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_is_content(arguments: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here; it is in Debian's package prometheus (100 MB installed)")
    done = subprocess.run([promtool, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_folder_holds_what_its_document_names() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in Path(FOLDER).iterdir()} - {"README.md"}
    assert {name for name in files if f"`{name}`" not in text and name not in text} == set()
