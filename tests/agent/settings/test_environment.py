"""Variables give texts as they stand, numbers by the schema's types, and items of lists by their number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.settings import settings
from agent.settings.settings import Settings, SettingsError

TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1).filter(
    lambda text: text != "null"
)


def parsed(environment: Mapping[str, str], text: str = "{}\n") -> Settings:
    return settings.parse(text, name="a.yaml", base=Path("/etc/plumbline"), environment=environment)


def refused(environment: Mapping[str, str], text: str = "{}\n") -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parsed(environment, text)
    return caught.value.problems


@given(TEXTS)
def test_a_text_or_path_is_taken_as_it_stands(text: str) -> None:
    found = parsed(
        {"PLUMBLINE_BUNDLE": text, "PLUMBLINE_MQTT__USERNAME": text, "PLUMBLINE_OUTBOX__PATH": f"/x/{text}"}
    )
    assert (found.bundle, found.mqtt.username) == (Path("/etc/plumbline") / text, text)
    assert found.outbox.path == Path(f"/x/{text}")


@pytest.mark.parametrize("text", ["/opt/models/line #3", "a: b", "'q'", "[x", "5", "true", "!x", "*a"])
def test_what_yaml_would_change_stays(text: str) -> None:
    assert parsed({"PLUMBLINE_BUNDLE": text}).bundle == Path("/etc/plumbline") / text


def test_a_word_of_a_closed_set_needs_no_quotes() -> None:
    assert parsed({"PLUMBLINE_MQTT__PROTOCOL": "5"}).mqtt.protocol == "5"


@pytest.mark.parametrize("value", ["1883 # plant", "1e3", "0x10", "yes", ""])
def test_a_number_is_a_number_and_nothing_else(value: str) -> None:
    (problem,) = refused({"PLUMBLINE_MQTT__PORT": value})
    assert problem.startswith("environment PLUMBLINE_MQTT__PORT: mqtt.port: Input should be a valid integer")


def test_nothing_is_given_by_null_or_an_empty_variable() -> None:
    for value in ("", "null"):
        assert parsed({"PLUMBLINE_MQTT__USERNAME": value}, "mqtt: {username: x}\n").mqtt.username is None
    (problem,) = refused({"PLUMBLINE_BUNDLE": ""})
    assert "bundle: is empty" in problem


@given(st.integers(0, 15))
def test_items_of_lists_have_numbers(number: int) -> None:
    text = "cameras: [" + ", ".join(f"{{name: c{index}}}" for index in range(number)) + "]\n"
    environment = {
        f"PLUMBLINE_CAMERAS__{number}__NAME": "left",
        f"PLUMBLINE_CAMERAS__{number}__SOURCE__KIND": "video",
        f"PLUMBLINE_CAMERAS__{number}__SOURCE__URL": "rtsp://u:p #@h/s",
        f"PLUMBLINE_CAMERAS__{number}__SOURCE__RATE_HZ": "2.5",
    }
    camera = parsed(environment, text).cameras[number]
    assert (camera.name, camera.source.kind) == ("left", "video")
    assert camera.source.model_dump()["url"] == "rtsp://u:p #@h/s"


def test_many_items_come_in_the_order_of_their_numbers() -> None:
    found = parsed({f"PLUMBLINE_CAMERAS__{number}__NAME": f"c{number}" for number in range(16)})
    assert [camera.name for camera in found.cameras] == [f"c{number}" for number in range(16)]


def test_what_is_missing_beside_an_override_names_its_variable() -> None:
    (problem,) = refused({"PLUMBLINE_CAMERAS__0__SOURCE__KIND": "video"})
    assert problem == (
        "environment PLUMBLINE_CAMERAS__0__SOURCE__KIND: cameras.0.source.url: required key is missing"
        " (got nothing)"
    ) or problem.startswith("environment PLUMBLINE_CAMERAS__0__SOURCE__KIND: cameras.0.source.url: ")


@pytest.mark.parametrize("value", ["[{name: left #3}]", "name: left #3", "- name: left # the first"])
def test_a_comment_in_a_list_says_quote_it(value: str) -> None:
    (problem,) = refused({"PLUMBLINE_CAMERAS": value})
    assert problem.startswith("environment PLUMBLINE_CAMERAS: cameras: ") and "quote it" in problem


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PLUMBLINE_PORT", "tcp://10.0.0.7:8080"),
        ("PLUMBLINE_PORT_8080_TCP", "tcp://10.0.0.7:8080"),
        ("PLUMBLINE_PORT_8080_TCP_ADDR", "10.0.0.7"),
        ("PLUMBLINE_PORT_8080_TCP_PORT", "8080"),
        ("PLUMBLINE_PORT_8080_TCP_PROTO", "tcp"),
        ("PLUMBLINE_SERVICE_HOST", "10.0.0.7"),
        ("PLUMBLINE_SERVICE_PORT", "8080"),
        ("PLUMBLINE_SERVICE_PORT_HTTP", "8080"),
        ("PLUMBLINE_MQTT_SERVICE_HOST", "10.0.0.7"),
        ("PLUMBLINE_MQTT_PORT", "udp://10.0.0.7:1"),
        ("PLUMBLINE_NAME", "/web/plumbline"),
        ("PLUMBLINE_ENV_PATH", "/bin"),
    ],
)
def test_variables_of_container_platforms_are_none_of_ours(variable: str, value: str) -> None:
    assert parsed({variable: value}) == parsed({})


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("PLUMBLINE_PORT", "did you mean PLUMBLINE_MQTT__PORT"),
        ("PLUMBLINE_MQTT_HOST", "did you mean PLUMBLINE_MQTT__HOST"),
        ("PLUMBLINE_BUNDEL", "did you mean PLUMBLINE_BUNDLE"),
        ("PLUMBLINE_HOME", "unset it, or rename it"),
    ],
)
def test_any_other_variable_is_refused_with_the_remedy_alone(variable: str, words: str) -> None:
    (problem,) = refused({variable: "GEHEIM"})
    assert problem.startswith(f"environment {variable}: ") and words in problem and "GEHEIM" not in problem
