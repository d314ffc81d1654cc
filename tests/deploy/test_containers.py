"""deploy/containers: the image and its company are closed, checked, and what the table of platforms says.

Nothing is pulled or built here; README.md beside the files says what of it was run.
"""

from __future__ import annotations

import io
import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from dockerfile_parse import DockerfileParser

from agent.settings import settings
from tests.brokers import HOST, eventually, free_port

ROOT = Path(__file__).parents[2]
HERE = ROOT / "deploy" / "containers"
BASES = {  # of NVIDIA's JetPack 6.2 and 7.2, and of Debian 12
    "x86-64": ("amd64", "docker.io/library/debian:12-slim", "311"),
    "jetpack6": ("arm64", "nvcr.io/nvidia/l4t-jetpack:r36.4.0", "310"),
    "jetpack7": ("arm64", "nvcr.io/nvidia/cuda:13.2.0-devel-ubuntu24.04", "312"),
}
TENSORRT = {"jetpack7": "python3-libnvinfer=10.16.2.*"}  # JetPack 6's base has it
SECRET = re.compile(r"(?i)password|passwd|secret(?!s$)|token|api_?key|private|\.pem|\.key")


def version() -> str:
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def platforms() -> dict[str, dict[str, str]]:
    head, *rows = (HERE / "platforms.tsv").read_text().splitlines()
    names = head.removeprefix("# ").split("\t")
    return {row.split("\t")[0]: dict(zip(names, row.split("\t"), strict=True)) for row in rows}


def parsed(platform: str = "x86-64") -> DockerfileParser:
    row = platforms()[platform]
    arguments = {"BASE": row["base"], "PY": row["py"], "PACKAGES": row["packages"]}
    file = io.BytesIO((HERE / "Containerfile").read_bytes())
    return DockerfileParser(fileobj=file, build_args=arguments)


def instructions(parser: DockerfileParser, *names: str) -> list[str]:
    return [one["value"] for one in parser.structure if one["instruction"] in names]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((HERE / "compose.yaml").read_text())
    return found


def test_the_table_has_each_platform_with_its_base_and_python() -> None:
    table = platforms()
    assert {name: (row["arch"], row["base"], row["py"]) for name, row in table.items()} == BASES
    assert {name: row["packages"] for name, row in table.items() if row["packages"]} == TENSORRT
    assert {name for name, row in table.items() if row["tried"].startswith("never")} == {
        "jetpack6",
        "jetpack7",
    }


@pytest.mark.parametrize("platform", BASES)
def test_both_stages_are_built_on_the_platforms_base(platform: str) -> None:
    assert parsed(platform).parent_images == [BASES[platform][1]] * 2
    assert (ROOT / f"deploy/deb/lock/py{BASES[platform][2]}.txt").is_file()


def test_no_base_and_no_image_is_whatever_is_latest(compose: dict[str, Any]) -> None:
    images = [row["base"] for row in platforms().values()]
    images += [service["image"] for service in compose["services"].values()]
    images += DockerfileParser(fileobj=io.BytesIO((HERE / "Containerfile").read_bytes())).parent_images
    for image in images:
        assert re.search(r":[a-z]*[0-9]", image), image
        assert "latest" not in image


def test_the_agent_is_no_root_and_stays_none() -> None:
    structure = parsed().structure
    users = [number for number, one in enumerate(structure) if one["instruction"] == "USER"]
    assert [structure[number]["value"] for number in users] == ["10001:10001"]
    after = {one["instruction"] for one in structure[users[0] :]}
    assert not after & {"RUN", "COPY", "ADD"}


def test_every_wheel_is_the_one_of_the_lock_file() -> None:
    installs = [
        part for run in instructions(parsed(), "RUN") for part in run.split("&&") if "pip install" in part
    ]
    assert len(installs) == 3
    for one in installs:
        assert "--require-hashes" in one or "--no-index" in one, one


def test_no_secret_and_no_engine_gets_into_a_layer() -> None:
    parser = parsed()
    assert not instructions(parser, "ADD")
    for value in instructions(parser, "ENV", "ARG", "COPY", "RUN", "LABEL"):
        assert not SECRET.search(value.replace("CREDENTIALS_DIRECTORY=/run/secrets", "")), value
    sources = [
        source
        for value in instructions(parser, "COPY")
        if "--from" not in value
        for source in value.replace("${PY}", "311").split()[:-1]
    ]
    let_in = (HERE / "Containerfile.dockerignore").read_text().splitlines()
    assert let_in[0] == "*"
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(f"/{source}/".startswith(f"/{one[1:]}/") for one in let_in if one[0] == "!"), source
        assert not list((ROOT / source).rglob("*.engine"))


def test_the_health_check_asks_the_agent_with_what_is_in_the_image(compose: dict[str, Any]) -> None:
    parser = parsed()
    (check,) = instructions(parser, "HEALTHCHECK")
    command = yaml.safe_load(check[check.index("[") :])
    assert command == ["/usr/bin/python3", "-I", "/usr/share/plumbline/health.py"]
    assert compose["services"]["plumbline"]["healthcheck"]["test"] == ["CMD", *command]
    assert f"deploy/containers/health.py {command[2]}" in instructions(parser, "COPY")


def test_the_agent_starts_in_the_shape_that_stops_it_by_a_signal() -> None:
    parser = parsed()
    assert instructions(parser, "ENTRYPOINT") == ['["/usr/bin/plumbline"]']
    assert instructions(parser, "CMD") == ['["run"]']
    assert instructions(parser, "STOPSIGNAL") == ["SIGTERM"]


@pytest.mark.parametrize("platform", BASES)
def test_the_build_gives_the_tool_what_the_table_says(platform: str, tmp_path: Path) -> None:
    told = build(tmp_path, platform, "--network", "host")
    assert told.returncode == 0, told.stderr
    arch, base, py = BASES[platform]
    words = told.stdout.splitlines()
    assert words[0] == "build"
    for pair in (
        ("--platform", f"linux/{arch}"), ("--build-arg", f"BASE={base}"), ("--build-arg", f"PY={py}"),
        ("--build-arg", f"PACKAGES={TENSORRT.get(platform, '')}"),
        ("--tag", f"plumbline:{version()}-{platform}"), ("--network", "host"),
    ):  # fmt: skip
        assert pair in itertools.pairwise(words), (pair, words)


@pytest.mark.parametrize("words", [[], ["riscv"], ["#"]])
def test_a_platform_that_is_none_is_refused_with_those_there_are(words: list[str], tmp_path: Path) -> None:
    told = build(tmp_path, *words)
    assert told.returncode == 2
    assert "x86-64 jetpack6 jetpack7" in told.stderr


def build(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    tool = folder / "podman"
    tool.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    tool.chmod(0o755)
    return subprocess.run(
        ["bash", HERE / "build.sh", *words],
        env={**os.environ, "TOOL": str(tool)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_shellcheck_has_nothing_to_say_of_the_build() -> None:
    program = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([program, HERE / "build.sh"], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_every_container_is_closed(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["user"].split(":")[0]) > 0, name
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert "max-size" in service["logging"]["options"], name
        assert not {"privileged", "cap_add", "pid", "network_mode"} & set(service), name
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
        assert service["tmpfs"], name


def test_what_is_mounted_is_there_or_a_volume(compose: dict[str, Any]) -> None:
    places = {}
    for service in compose["services"].values():
        for volume in service["volumes"]:
            source, place = volume.split(":")[:2]
            places[place] = source
            assert (HERE / source).exists() if source.startswith(".") else source in compose["volumes"]
    volumes = yaml.safe_load(instructions(parsed(), "VOLUME")[0])
    assert {places[place] for place in volumes} == {"state", "cache"}
    assert places["/etc/plumbline"] == "./settings"


def test_the_image_of_the_compose_file_is_of_this_version_and_user(compose: dict[str, Any]) -> None:
    service = compose["services"]["plumbline"]
    assert service["image"] == f"plumbline:{version()}-x86-64"
    assert service["user"] == instructions(parsed(), "USER")[0]
    assert (
        HERE / service["build"]["context"] / service["build"]["dockerfile"]
    ).resolve() == HERE / "Containerfile"


def test_examples_that_are_commented_out_are_sound() -> None:
    text = (HERE / "compose.yaml").read_text()
    examples = re.findall(r"^    #([a-z_]+:.*)$", text, re.MULTILINE)
    keys = {key for example in examples for key in yaml.safe_load(example)}
    assert keys == {"secrets", "devices", "group_add", "volumes", "device_cgroup_rules", "network_mode"}
    section = re.search(r"^#(secrets:\n(?:#.*\n)+)", text, re.MULTILINE)
    assert section is not None
    files = yaml.safe_load(section[1].replace("\n#", "\n"))["secrets"]
    assert set(files) == set(yaml.safe_load(examples[0])["secrets"])


def test_the_settings_of_the_compose_file_are_good_in_the_image(compose: dict[str, Any]) -> None:
    parser = parsed()
    environment = {name: value for name, value in parser.envs.items() if name != "PYTHONUNBUFFERED"}
    wanted = settings.load(HERE / "settings" / "agent.yaml", environment)
    assert str(wanted.outbox.path) == "/var/lib/plumbline/outbox.sqlite3"
    assert str(wanted.engine_cache()) == "/var/cache/plumbline/engines"
    assert (wanted.page.host, wanted.page.port) == ("0.0.0.0", 8080)
    assert f"models/bundles/elpv {wanted.bundle}" in instructions(parser, "COPY")
    assert wanted.mqtt.host in compose["services"]
    source = wanted.cameras[0].source
    assert source.kind == "folder"
    assert any(f":{source.path}" in volume for volume in compose["services"]["plumbline"]["volumes"])


def test_mosquitto_starts_with_its_file(tmp_path: Path) -> None:
    port = free_port()
    text = (HERE / "mosquitto.conf").read_text()
    here = text.replace("listener 1883", f"listener {port} {HOST}").replace(
        "/mosquitto/data/", f"{tmp_path}/"
    )
    file = tmp_path / "mosquitto.conf"
    file.write_text(f"{here}user root\n" if os.geteuid() == 0 else here)
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    assert program, "mosquitto is not installed: apt-get install mosquitto"
    with subprocess.Popen([program, "-c", file], stdout=subprocess.DEVNULL) as broker:
        try:
            eventually(lambda: answers(port), "mosquitto accepts connections")
        finally:
            broker.terminate()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


class Answer(BaseHTTPRequestHandler):
    """What the agent's page would say; an empty one never comes."""

    body: ClassVar[bytes] = b""
    code: ClassVar[int] = 200

    def do_GET(self) -> None:
        if not self.body:
            time.sleep(6)
            return
        self.send_response(self.code)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[HTTPServer]:
    server = HTTPServer((HOST, 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(port: int) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-I", HERE / "health.py"],
        env={"PLUMBLINE_PAGE__PORT": str(port), "http_proxy": "http://192.0.2.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.strip() + done.stderr


@pytest.mark.parametrize(
    ("code", "body", "told"),
    [
        (200, b'{"state": "running", "reasons": []}', (0, "running")),
        (503, b'{"state": "degraded", "reasons": ["no light", "dark"]}', (0, "degraded: no light; dark")),
        (503, b'{"state": "starting", "reasons": ["no model"]}', (1, "starting: no model")),
    ],
)  # fmt: skip
def test_the_health_check_says_what_the_agent_says(
    page: HTTPServer, monkeypatch: pytest.MonkeyPatch, code: int, body: bytes, told: tuple[int, str]
) -> None:
    monkeypatch.setattr(Answer, "body", body)
    monkeypatch.setattr(Answer, "code", code)
    assert ask(page.server_port) == told


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"state": "running"}'])
def test_something_else_at_that_port_is_not_healthy(
    page: HTTPServer, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr(Answer, "body", body)
    code, told = ask(page.server_port)
    assert code == 1
    assert told.startswith("no answer from the agent")


@pytest.mark.slow
def test_an_agent_that_stands_still_is_not_healthy(page: HTTPServer) -> None:
    code, told = ask(page.server_port)
    assert code == 1
    assert "timed out" in told


def test_no_agent_is_not_healthy() -> None:
    code, told = ask(free_port())
    assert code == 1
    assert "no answer from the agent" in told
