"""Everything that settings point to is looked for before the agent starts, and named by its key."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import cv2
import pytest
import yaml

from agent.app import build
from agent.clock import SystemClock
from agent.crew import Crew
from agent.doctor import references
from agent.errors import PlumblineError
from agent.labels.shelf import Shelf
from agent.settings import settings
from tests.agent.engines.small_bundle import write_small
from tests.agent.labels.made import learned
from tests.fakes import good_picture


def missing(folder: Path, **sections: object) -> dict[str, str]:
    path = folder / "agent.yaml"
    path.write_text(yaml.safe_dump(sections))
    found = references.problems(settings.load(path, {}))
    return {".".join(map(str, keys)): words for keys, words in found}


def test_a_station_whose_files_are_all_there_has_no_problem(tmp_path: Path) -> None:
    write_small(tmp_path / "bundle")
    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames" / "a.png"), good_picture(40, 40))
    (tmp_path / "secret").touch(mode=0o600)
    (tmp_path / "secret").write_text("word\n")
    before = sorted(tmp_path.rglob("*"))
    found = missing(
        tmp_path,
        archive={"folder": "archive"},
        mqtt={"username": "u", "password_file": "secret"},
        gateways=[{"kind": "folder", "path": "results"}, {"kind": "modbus", "port": 5021}],
    )
    assert found == {}
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "agent.yaml"])


@pytest.mark.parametrize(
    ("place", "words"), [("~/kept", "~ is not expanded"), ("disk/kept", "mount its disk")]
)
def test_a_folder_is_not_made_where_a_disk_may_not_be_mounted(tmp_path: Path, place: str, words: str) -> None:
    write_small(tmp_path / "bundle")
    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames" / "a.png"), good_picture(40, 40))
    found = missing(tmp_path, archive={"folder": place}, gateways=[{"kind": "folder", "path": place}])
    assert sorted(found) == ["archive.folder", "gateways.0.path"]
    assert all(words in one for one in found.values())


def test_every_reference_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = missing(
        tmp_path,
        bundle="none",
        cameras=[
            {"name": "a", "source": {"kind": "folder", "path": "none"}, "flat_field": {"file": "none.npz"}},
            {"name": "b", "source": {"kind": "video", "url": "none.mp4"}},
            {"name": "c", "source": {"kind": "linescan-sim", "path": "none"}},
            {"name": "d", "source": {"kind": "harvesters", "producer": "none.cti"}},
            {"name": "e", "source": {"kind": "video", "url": "rtsp://192.0.2.1/x"}},
        ],
        archive={"folder": "file/archive"},
        outbox={"path": "none/outbox.sqlite3"},
        engine={"cache": "file/engines"},
        mqtt={"tls": True, "ca_file": "none.pem", "username": "u", "password_file": "none"},
        gateways=[
            {"kind": "webhook", "url": "https://mes/", "secret_file": "none", "ca_file": "none.pem"},
            {"kind": "folder", "path": "file/results"},
            {"kind": "sparkplug", "username": "u", "password_file": "none", "tls": True, "ca_file": "none"},
            {"kind": "opcua", "certificate_file": "none", "key_file": "none", "trusted_folder": "none"},
        ],
    )
    assert sorted(found) == [
        "archive.folder",
        "bundle",
        "cameras.0.flat_field.file",
        "cameras.0.source.path",
        "cameras.1.source.url",
        "cameras.2.source.path",
        "cameras.3.source.producer",
        "engine.cache",
        "gateways.0.ca_file",
        "gateways.0.secret_file",
        "gateways.1.path",
        "gateways.2.ca_file",
        "gateways.2.password_file",
        "gateways.3.certificate_file",
        "gateways.3.key_file",
        "gateways.3.trusted_folder",
        "mqtt.password_file",
        "mqtt.tls",
        "outbox.path",
    ]
    assert all(words.isprintable() and str(tmp_path) in words for words in found.values()), found


def test_bundles_of_recipes_are_looked_at_as_the_stations_is(tmp_path: Path) -> None:
    write_small(tmp_path / "bundle")
    write_small(tmp_path / "other", raw=0.7)
    write_small(tmp_path / "third", raw=0.6)
    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames" / "a.png"), good_picture(40, 40))
    names = ("bundle", "other", "none", "third")
    recipes = [{"name": name, "bundle": name} for name in names]
    found = missing(tmp_path, recipes=recipes, engine={"open_bundles_max_bytes": 7_000_000})
    assert list(found) == ["recipes.2.bundle", "recipes.3.bundle"]
    assert "none" in found["recipes.2.bundle"]
    assert "raise engine.open_bundles_max_bytes" in found["recipes.3.bundle"]


def test_credentials_of_systemd_are_not_looked_for_outside_its_unit(tmp_path: Path) -> None:
    found = missing(tmp_path, mqtt={"username": "u", "password_file": "%d/password"})
    assert "mqtt.password_file" not in found


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"trust": {"keys": ["none.pem"]}}, "trust"),
        ({"trust": {"lowest_counter": 99}}, "trust"),
        ({"engine": {"kind": "openvino", "device": "cuda"}}, "engine"),
        ({"engine": {"kind": "onnxruntime", "precision": "int8"}}, "engine"),
        ({"page": {"host": "203.0.113.9"}}, "page"),
        ({"outbox": {"path": "pipe"}}, "outbox.path"),
        ({"outbox": {"path": "/dev/null"}}, "outbox.path"),
        ({"outbox": {"path": "/proc/outbox"}}, "outbox.path"),
        ({"outbox": {"path": "x" * 300}}, "outbox.path"),
    ],
)
def test_what_run_refuses_is_a_problem(tmp_path: Path, section: dict[str, object], key: str) -> None:
    write_small(tmp_path / "bundle")
    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames" / "a.png"), good_picture(40, 40))
    os.mkfifo(tmp_path / "pipe")
    assert list(missing(tmp_path, **section)) == [key]
    with pytest.raises(PlumblineError):
        app = build(settings.load(tmp_path / "agent.yaml", {}), SystemClock(), Crew())
        app.parts.uplink.outbox.close()
        assert app.page is not None
        app.page.start()


def test_a_port_that_a_running_agent_has_is_no_problem(tmp_path: Path) -> None:
    write_small(tmp_path / "bundle")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "page" not in missing(tmp_path, page={"port": taken.getsockname()[1]})


@pytest.mark.parametrize("key", ["ca_file", "key_password_file"])
def test_a_credential_of_systemd_is_not_looked_for(tmp_path: Path, key: str) -> None:
    pair = {"cert_file": "none", "key_file": "none"} if key == "key_password_file" else {}
    found = missing(tmp_path, mqtt={"tls": True, key: "%d/secret", **pair})
    assert "mqtt.tls" not in found


def test_a_label_set_that_is_not_here_or_of_another_bundle_is_named(tmp_path: Path) -> None:
    write_small(tmp_path / "bundle")
    foreign = learned({"crack": 5}).labels
    Shelf(tmp_path / "outbox.sqlite3-labels").put(foreign)
    outbox = {"path": str(tmp_path / "outbox.sqlite3")}
    found = missing(tmp_path, labels={"set": "ef" * 32}, outbox=outbox)
    assert "is not in" in found["labels.set"]
    found = missing(tmp_path, labels={"set": foreign.sha256}, outbox=outbox)
    assert "was learned for bundle cells" in found["labels.set"]
