"""Settings are right or refused, with every problem in one line that says where, what and which value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent.line.record import MAX_DEFECTS
from agent.settings import camera as camera_settings
from agent.settings import settings
from agent.settings.settings import Settings, SettingsError

LINE = re.compile(r"^(a\.yaml:\d+(:\d+)?|environment PLUMBLINE_\w+): \S.*$")


def parsed(text: str, environment: Mapping[str, str] | None = None) -> Settings:
    return settings.parse(text, name="a.yaml", base=Path("/etc/plumbline"), environment=environment or {})


def problems(text: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """The lines of the refusal, which are one for each problem."""
    with pytest.raises(SettingsError) as caught:
        parsed(text, environment)
    assert str(caught.value) == "\n".join(caught.value.problems)
    for line in caught.value.problems:
        assert LINE.match(line), line
    return caught.value.problems


def test_a_file_that_says_nothing_special_gives_the_defaults() -> None:
    assert parsed("version: 1\n").mqtt == Settings().mqtt


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mqtt: {port: 0}", "mqtt.port: Input should be greater than or equal to 1 (got 0)"),
        ("mqtt: {port: 0777}", "mqtt.port: Input should be a valid integer (got '0777')"),
        ("mqtt: {port: '1883'}", "mqtt.port: Input should be a valid integer (got '1883')"),
        ("mqtt: {port: 1883.0}", "mqtt.port: Input should be a valid integer (got 1883.0)"),
        ("mqtt: {port: true}", "mqtt.port: Input should be a valid integer (got True)"),
        ("mqtt: {tls: on}", "mqtt.tls: Input should be a valid boolean (got 'on')"),
        ("mqtt: {tls: off}", "mqtt.tls: Input should be a valid boolean (got 'off')"),
        ("mqtt: {tls: 1}", "mqtt.tls: Input should be a valid boolean (got 1)"),
        ("mqtt: {host: 7}", "mqtt.host: Input should be a valid string (got 7)"),
        ("mqtt: {host: ''}", "mqtt.host: String should have at least 1 character (got '')"),
        ("mqtt: 1883", "mqtt: Input should be an object (got 1883)"),
        ("mqtt: {hots: x}", "mqtt.hots: unknown key; did you mean host?"),
        ("mqqt: {}", "mqqt: unknown key; did you mean mqtt?"),
        ("identity: {site: Halle 3}", "identity.site: write 1 to 64 of the characters a-z, 0-9, "),
        ("logs: {level: INFO}", "logs.level: Input should be 'debug', 'info', 'warning' or 'error' (got "),
        ("version: 2", "version: Input should be 1 (got 2)"),
        ("judge: {threshold: .nan}", "judge.threshold: Input should be a finite number (got nan)"),
        ("judge: {threshold: .inf}", "judge.threshold: Input should be a finite number (got inf)"),
        ("judge: {threshold: -.inf}", "judge.threshold: Input should be "),
        ("cameras: {name: top}", "cameras: Input should be a valid array"),
        ("cameras: [top]", "cameras.0: Input should be an object (got text)"),
        ("cameras: [{source: {kind: folder}}]", "cameras.0.source.path: required key is missing"),
        (
            "cameras: [{source: {kind: video, url: x, open_timeout_s: 0}}]",
            "cameras.0.source.open_timeout_s: Input should be greater than 0 (got 0)",
        ),
    ],
)
def test_bad_input_names_the_line_the_key_the_fault_and_the_value(text: str, problem: str) -> None:
    (found,) = problems(f"# a comment\n{text}\n")
    assert found.startswith(f"a.yaml:2: {problem}")


def test_all_problems_are_named_at_once_each_with_its_own_line() -> None:
    text = """
version: 1
mqtt:
  port: 99999
  tls: on
cameras:
  - name: top
    source: {kind: folder, path: a, rate: 3}
  - name: Bottom
    web: {window_lines: -1}
page:
  port: x
"""
    places = [line.split(": ")[:2] for line in problems(text)]
    assert sorted(places) == [
        ["a.yaml:10", "cameras.1.web.window_lines"],
        ["a.yaml:12", "page.port"],
        ["a.yaml:4", "mqtt.port"],
        ["a.yaml:5", "mqtt.tls"],
        ["a.yaml:8", "cameras.0.source.rate"],
        ["a.yaml:9", "cameras.1.name"],
    ]


@pytest.mark.parametrize(
    ("web", "words"),
    [
        ("mm_per_px: 0.1", "mm_per_px and mm_per_line belong together"),
        ("square_pixels: true", "square_pixels needs mm_per_px and mm_per_line"),
        ("{mm_per_px: 0.1, mm_per_line: 1.0, square_pixels: true}", "stretches lines by 0.25 to 4"),
        ("{window_lines: 9, parts: {kind: gate}}", "set window_lines to 0"),
        ("max_windows_per_defect: 4", "set window_lines"),
    ],
)
def test_settings_of_the_web_that_do_not_belong_together_are_refused(web: str, words: str) -> None:
    text = web if web.startswith("{") else f"{{{web}}}"
    (problem,) = problems(f"cameras:\n  - web: {text}\n")
    assert problem.startswith("a.yaml:2: cameras.0.web: ") and words in problem


@pytest.mark.parametrize(
    ("parts", "words"),
    [("{gate_from_px: 9, gate_to_px: 4}", "must be above"), ("{gate_on: 0.1}", "must not be above gate_on")],
)
def test_a_gate_has_room_between_its_bounds(parts: str, words: str) -> None:
    (problem,) = problems(f"cameras:\n  - web: {{parts: {parts}}}\n")
    assert problem.startswith("a.yaml:2: cameras.0.web.parts: ") and words in problem


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mqtt: &a {port: 1}\npage: *a\n", "a.yaml:1:7: anchors are not allowed"),
        ("mqtt: {port: 1}\nmqtt: {port: 2}\n", "a.yaml:2:1: duplicate key 'mqtt' (first on line 1)"),
        ("mqtt:\n  port: 1\n  port: 2\n", "a.yaml:3:3: duplicate key 'port' (first on line 2)"),
        ("- mqtt\n", "a.yaml:1: settings are a mapping of keys, got list"),
        ("mqtt\n", "a.yaml:1: settings are a mapping of keys, got str"),
    ],
)
def test_what_is_no_mapping_of_plain_values_is_refused(text: str, words: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(words)


def test_camera_names_must_differ() -> None:
    (problem,) = problems("cameras:\n  - name: top\n  - name: top\n")
    assert problem.startswith("a.yaml:1: cameras: ") and "'top' stands twice" in problem


def test_a_missing_file_says_where_to_start_from(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(SettingsError) as caught:
        settings.load(path, {})
    assert caught.value.problems == [f"{path}: no such file; start from config/agent.yaml"]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("mqtt: {host: düse}\n", encoding=encoding)
    with pytest.raises(SettingsError, match="cannot be read as text"):
        settings.load(path, {})


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read as text"):
        settings.load(tmp_path, {})


def test_a_byte_order_mark_and_dos_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfmqtt:\r\n  port: 1884\r\n")
    assert settings.load(path, {}).mqtt.port == 1884


def test_relative_paths_start_from_the_folder_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "bundle: models/one\noutbox: {path: /var/lib/outbox}\nmqtt: {tls: true, ca_file: ca.pem}\n"
    )
    loaded = settings.load(path, {})
    assert loaded.bundle == tmp_path / "models" / "one"
    assert loaded.outbox.path == Path("/var/lib/outbox")
    assert loaded.mqtt.ca_file == tmp_path / "ca.pem"
    assert loaded.cameras[0].source == camera_settings.FolderSource(path=tmp_path / "frames")


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    one = parsed("mqtt: {port: 1884, tls: true}\npage: {port: 9000}\n")
    other = parsed("page: {port: 9000}\nmqtt: {tls: true, port: 1884}\n")
    assert one.digest() == other.digest()
    assert re.fullmatch("[0-9a-f]{64}", one.digest())


def test_a_default_written_out_leaves_the_digest_as_it_is() -> None:
    assert parsed("mqtt: {port: 1883}\n").digest() == parsed("version: 1\n").digest()


@given(st.integers(1, 65_535), st.integers(1, 65_535))
def test_digests_are_equal_exactly_when_settings_are(one: int, other: int) -> None:
    digests = [parsed(f"mqtt: {{port: {port}}}\n").digest() for port in (one, other)]
    assert (digests[0] == digests[1]) == (one == other)


def test_the_environment_overrides_the_file() -> None:
    environment = {"PLUMBLINE_MQTT__HOST": "broker", "PLUMBLINE_MQTT__TLS": "true", "PLUMBLINE_REVISION": "7"}
    found = parsed("mqtt: {host: x, port: 1884}\n", environment)
    assert (found.mqtt.host, found.mqtt.port, found.mqtt.tls, found.revision) == ("broker", 1884, True, 7)


def test_the_environment_can_give_whole_sections() -> None:
    found = parsed("{}\n", {"PLUMBLINE_CAMERAS": "[{name: left}, {name: right}]"})
    assert [camera.name for camera in found.cameras] == ["left", "right"]


def test_other_variables_are_left_alone() -> None:
    assert parsed("{}\n", {"PATH": "/bin", "PLUMBLINED": "x"}) == parsed("{}\n")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PLUMBLINE_MQTT__PORT", "0", "mqtt.port: Input should be greater than or equal to 1 (got 0)"),
        ("PLUMBLINE_MQTT__TLS", "on", "mqtt.tls: Input should be a valid boolean (got 'on')"),
        ("PLUMBLINE_MQTT__HOTS", "x", "mqtt.hots: unknown key"),
        ("PLUMBLINE_MQTT", "x", "mqtt: Input should be an object (got text)"),
    ],
)
def test_a_bad_override_names_its_variable(variable: str, value: str, words: str) -> None:
    (problem,) = problems("mqtt: {port: 1884}\n", {variable: value})
    assert problem.startswith(f"environment {variable}: {words}")


@given(
    st.dictionaries(
        st.sampled_from(list(Settings.model_fields)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda below: (
                st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=4,
    )
)
def test_any_tree_of_values_is_taken_or_refused_in_whole_lines(tree: dict[str, object]) -> None:
    try:
        parsed(yaml.safe_dump(tree, allow_unicode=True))
    except SettingsError as error:
        assert error.problems


def test_an_empty_list_is_named_beside_other_problems() -> None:
    assert [line.split(": ")[1] for line in problems("cameras: []\nmqtt: {port: 0}\n")] == [
        "cameras",
        "mqtt.port",
    ]


@pytest.mark.parametrize("key", ["folder", "video", "linescan-sim"])
def test_an_unknown_key_is_named_even_when_a_source_has_that_name(key: str) -> None:
    (problem,) = problems(f"mqtt: {{{key}: 1}}\n")
    assert problem.startswith(f"a.yaml:1: mqtt.{key}: unknown key")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mqtt: {port: }", "mqtt.port: Input should be a valid integer (got nothing)"),
        ("mqtt:", "mqtt: Input should be an object (got nothing)"),
        ("cameras: [{source: {path: x}}]", "cameras.0.source: kind is missing; "),
        ("cameras: [{source: {kind: usb}}]", "cameras.0.source: kind must be one of 'folder', "),
        ("cameras: [{web: {mm_per_px: 1.0}}]", "cameras.0.web: mm_per_px and mm_per_line belong together"),
        ("cameras: [{name: a}, {name: a}]", "cameras: camera name 'a' stands twice"),
    ],
)
def test_the_words_are_those_of_the_file(text: str, problem: str) -> None:
    (found,) = problems(text + "\n")
    assert found.startswith(f"a.yaml:1: {problem}")


@pytest.mark.parametrize("text", ["", "# only comments\n", "---\n"])
def test_an_empty_file_is_called_empty(text: str) -> None:
    assert problems(text) == ["a.yaml:1: the file is empty; start from config/agent.yaml"]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (
            {"PLUMBLINE_CAMERAS__2__NAME": "left"},
            "cameras.2: there are 1 of them, so the next one is number 1",
        ),
        (
            {"PLUMBLINE_CAMERAS__TOP__NAME": "left"},
            "cameras: is a list; name an item of it by its number, from 0",
        ),
        (
            {"PLUMBLINE_MQTT__PORT__X": "1"},
            "mqtt.port: has no keys; give it as a whole in PLUMBLINE_MQTT__PORT or in the file",
        ),
    ],
)
def test_an_override_below_something_without_keys_is_refused(
    environment: Mapping[str, str], words: str
) -> None:
    (problem,) = problems("mqtt: {port: 1884}\ncameras: [{name: top}]\n", environment)
    assert problem == f"environment {next(iter(environment))}: {words}"


def test_an_override_does_not_hide_a_problem_of_the_file() -> None:
    assert len(problems("mqtt: 5\npage: 6\n", {"PLUMBLINE_MQTT__PORT": "80"})) == 3


@pytest.mark.parametrize("value", ["[", "a: *b", "\udcff", "!!bool yes"])
def test_an_override_that_is_no_yaml_is_refused_beside_other_problems(value: str) -> None:
    found = problems("page: {port: x}\n", {"PLUMBLINE_GATEWAYS": value})
    assert len(found) == 2
    assert found[0].startswith("environment PLUMBLINE_GATEWAYS: gateways: ")
    assert found[1].startswith("a.yaml:1: page.port: ")


@pytest.mark.parametrize("threshold", ["1.0e-60", "1.0e+60", "0.0", "0"])
def test_a_threshold_that_float32_cannot_hold_is_refused(threshold: str) -> None:
    (problem,) = problems(f"judge: {{threshold: {threshold}}}\n")
    assert problem.startswith("a.yaml:1: judge.threshold: ")


def test_no_more_crops_can_be_asked_for_than_defects_are_named() -> None:
    (problem,) = problems(f"crops: {{max_per_verdict: {MAX_DEFECTS + 1}}}\n")
    assert problem.startswith("a.yaml:1: crops.max_per_verdict: ")
    assert parsed(f"crops: {{max_per_verdict: {MAX_DEFECTS}}}\n").crops.max_per_verdict == MAX_DEFECTS


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{ca_file: ca.pem}", "ca_file is used with TLS only; set tls to true or remove ca_file"),
        (
            "{cert_file: c.pem, key_file: k.pem}",
            "cert_file is used with TLS only; set tls to true or remove cert_file",
        ),
        (
            "{tls: true, cert_file: c.pem}",
            "cert_file needs a key_file beside it; set key_file or remove it",
        ),
        (
            "{tls: true, key_file: k.pem}",
            "key_file needs a cert_file beside it; set cert_file or remove it",
        ),
        (
            "{key_password_file: p}",
            "key_password_file needs a key_file beside it; set key_file or remove it",
        ),
        (
            "{password_file: p}",
            "password_file needs a username beside it; set username or remove it",
        ),
    ],
)
def test_a_credential_that_would_not_be_used_is_refused(text: str, problem: str) -> None:
    assert problems(f"mqtt: {text}\n") == [f"a.yaml:1: mqtt: {problem}"]


def test_a_systemd_credential_is_no_relative_path(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "mqtt: {tls: true, cert_file: '%d/cert', key_file: '%d/key', ca_file: d/ca, "
        "username: u, password_file: 100%d/p}\n"
    )
    loaded = settings.load(path, {})
    assert (loaded.mqtt.cert_file, loaded.mqtt.key_file) == (Path("%d/cert"), Path("%d/key"))
    assert loaded.mqtt.ca_file == tmp_path / "d" / "ca"
    assert loaded.mqtt.password_file == tmp_path / "100%d" / "p"


@pytest.mark.parametrize("prefix", ["mes", "mes/answers", "a$b/c d"])
def test_response_prefixes_are_whole_topic_levels(prefix: str) -> None:
    assert parsed(f"mqtt: {{response_prefixes: ['{prefix}']}}\n").mqtt.response_prefixes == (prefix,)


@pytest.mark.parametrize("prefix", ["", "/", "/mes", "mes/", "mes/+", "#", "$SYS", "$share/x"])
def test_a_response_prefix_that_cannot_begin_a_topic_is_refused(prefix: str) -> None:
    (problem,) = problems(f"mqtt: {{response_prefixes: ['{prefix}']}}\n")
    assert problem.startswith(
        f"a.yaml:1: mqtt.response_prefixes: {prefix!r} cannot begin a topic; write whole"
    )


@pytest.mark.parametrize(
    "name",
    ["https://mes", "mes:8443", "mes/plumbline", "*", "*.plant", "", "a b", "fd00::7", "mes.", "ä.example"],
)
def test_a_host_of_the_page_is_a_bare_name_and_the_remedy_is_said(name: str) -> None:
    (found,) = problems(yaml.safe_dump({"page": {"allowed_hosts": ["good.example", name]}}))
    assert "is no bare host name; write what stands between http:// and the port" in found


@pytest.mark.parametrize("share", [-0.01, 1.01, float("inf")])
def test_a_share_is_a_share(share: float) -> None:
    (found,) = problems(yaml.safe_dump({"health": {"max_unjudged_share": share}}))
    assert "health.max_unjudged_share" in found
