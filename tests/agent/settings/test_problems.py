"""A problem says what was meant and what to do, and never what may be a secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.settings import settings
from agent.settings.settings import Settings, SettingsError
from agent.settings.shape import places_of

SECRET = st.from_regex(r"[A-Z]{4}[0-9]{4}[A-Za-z]{0,8}", fullmatch=True)


def refused(text: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        settings.parse(text, name="a.yaml", base=Path("/"), environment=environment or {})
    return "\n".join(caught.value.problems)


@given(st.sampled_from([place for place in places_of(Settings) if len(place) == 2]), st.data())
def test_a_letter_that_was_left_out_is_guessed(place: tuple[str, str], data: st.DataObject) -> None:
    section, key = place
    if section in ("cameras", "gateways", "outputs", "parts", "recipes") or len(key) < 6:
        return
    number = data.draw(st.integers(1, len(key) - 1))
    wrong = key[:number] + key[number + 1 :]
    if wrong in dict.fromkeys(place[-1] for place in places_of(Settings)):
        return
    assert "unknown key" in refused(f"{section}: {{{wrong}: 1}}\n")
    assert "did you mean" in refused(f"{section}: {{{wrong}: 1}}\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("judge: {treshold: 0.5}", "judge.treshold: unknown key; did you mean threshold?"),
        ("treshold: 0.5", "did you mean threshold? It belongs under judge"),
        ("threshold: 0.5", "it belongs under judge"),
        ("engine: {threshold: 0.5}", "it belongs under judge"),
        ("cameras: [{source: {kind: video, url: x, rate: 1}}]", "did you mean rate_hz?"),
        ("cameras: [{source: {kind: vidoe, url: x}}]", "did you mean video?"),
        ("logs: {level: INFO}", "did you mean info?"),
        ("identity: {line: Line 3}", "identity.line: write 1 to 64 of the characters a-z, 0-9, _ and -"),
        ("gateways: [{kind: webhook, url: 'https://h/', timeout: 1}]", "did you mean timeout_s?"),
        ("mqtt: {password: x}", "name that in password_file"),
    ],
)
def test_the_words_say_what_was_meant(text: str, words: str) -> None:
    assert words in refused(text + "\n")


@given(SECRET, st.sampled_from(["password", "token", "secret", "x", "Passwort", "apikey"]))
def test_no_value_that_may_be_a_secret_is_said(secret: str, key: str) -> None:
    for text in (
        f"mqtt: {{{key}: {secret}}}",
        f"mqtt: {{{key}: [{secret}]}}",
        f"{key}: {secret}",
        f"mqtt: {{{key} {secret}}}",
        f"mqtt: {{{key}: !{secret}}}",
        f"mqtt: {secret}",
        f"mqtt: mqtt://u:{secret}@h",
        f"mqtt: {{port: 'mqtt://u:{secret}@h'}}",
        f"mqtt: {{password_file: [{secret}]}}",
        f"gateways: [{{kind: webhook, url: 'https://u:{secret}@h/'}}]",
        f"gateways: [{{kind: webhook, url: 'http://10.0.0.1/?{key}={secret}'}}]",
        f"gateways: [{{kind: webhook, url: 'https://h:x/?{key}={secret}'}}]",
        f"cameras: [{{source: {{kind: video, url: 'rtsp://u:{secret}@h', {key}: {secret}}}}}]",
        f"cameras: [{{source: 'rtsp://u:{secret}@h'}}]",
        f"cameras: ['rtsp://u:{secret}@h']",
    ):
        assert secret not in refused(text + "\n"), text
    for variable in (f"MQTT__{key.upper()}", key.upper(), "MQTT", "MQTT__PORT__X", "CAMERAS"):
        assert secret not in refused("mqtt: {port: 1}\n", {f"PLUMBLINE_{variable}": secret}), variable


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "http://mes/", "http://127.0.0.1.example.com/", "http://0/"]
)
def test_plain_http_goes_to_this_machine_only(url: str) -> None:
    assert "plain http goes to this machine only" in refused(
        yaml.safe_dump({"gateways": [{"kind": "webhook", "url": url}]})
    )


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8/x", "http://localhost/", "http://[::1]:9/", "https://mes/"]
)
def test_an_address_that_is_encrypted_or_on_this_machine_is_taken(url: str) -> None:
    text = yaml.safe_dump({"gateways": [{"kind": "webhook", "url": url}]})
    assert settings.parse(text, name="a", base=Path("/"), environment={}).gateways[0].name == "webhook"


def test_a_port_that_is_none_is_refused() -> None:
    assert "url is no address" in refused("gateways: [{kind: webhook, url: 'https://mes:99999/'}]\n")


@given(
    st.sampled_from(
        ["mqtt: {{host: {}}}", "page: {{host: {}}}"]
        + [f"gateways: [{{{{kind: {kind}, host: {{}}}}}}]" for kind in ("opcua", "modbus", "sparkplug")]
    ),
    st.sampled_from(
        ["{}", "{}@h", "mqtt://{}@h:1883", "h/?t={}", "[::1]{}", "h:{}", "a..{}", "{} b", "x\n{}"]
    ),
    st.from_regex(r"u:GEHEIM[0-9]{1,3}", fullmatch=True),
)
def test_what_is_no_host_is_refused_where_hosts_stand(section: str, form: str, secret: str) -> None:
    text = section.format(json.dumps(form.format(secret)))
    with pytest.raises(SettingsError) as caught:
        settings.parse(text, name="a.yaml", base=Path("/"), environment={})
    assert "is no host name or IP address" in str(caught.value)
    assert "GEHEIM" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["10.0.0.9", "::1", "fe80::1%eth0", "broker", "b_1.plant.example.", "bücher"]
)
def test_hosts_are_taken(host: str) -> None:
    assert settings.Mqtt(host=host).host == host


@given(
    st.sampled_from(["\0", "\n", "\x1b", "\x85", "\u2028"]),
    st.sampled_from(
        [
            "bundle: {}",
            "outbox: {{path: {}}}",
            "mqtt: {{username: {}}}",
            "trust: {{keys: [a, {}]}}",
            "cameras: [{{name: a, source: {{kind: folder, path: {}}}}}]",
        ]
    ),
)
def test_no_text_has_control_characters(control: str, section: str) -> None:
    text = section.format(json.dumps(f"GEHEIM{control}x"))
    with pytest.raises(SettingsError, match="control characters") as caught:
        settings.parse(text, name="a.yaml", base=Path("/"), environment={})
    assert "GEHEIM" not in str(caught.value)


def test_an_error_that_nobody_explains_says_no_value() -> None:
    with pytest.raises(ValidationError) as caught:
        settings.Mqtt.model_validate({"password": "GEHEIM1", "host": "u:GEHEIM2@h", "port": "GEHEIM3"})
    assert "GEHEIM" not in str(caught.value)


@given(
    SECRET,
    st.sampled_from(
        ["mqtt: {{response_prefixes: [a, 'x://u:{}@h/#']}}", "page: {{allowed_hosts: [a, '{}@b']}}"]
    ),
)
def test_items_of_lists_are_refused_by_number(secret: str, section: str) -> None:
    said = refused(section.format(secret))
    assert "number 1 " in said and secret not in said
