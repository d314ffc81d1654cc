"""A gateway's settings are right or refused, in the words of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.settings import settings
from agent.settings.settings import Settings, SettingsError


def parsed(text: str) -> Settings:
    return settings.parse(text, name="a.yaml", base=Path("/etc/plumbline"), environment={})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "{kind: ftp}",
            "gateways.0: kind must be one of 'webhook', 'folder', 'opcua', 'modbus', 'sparkplug'",
        ),
        ("{name: x}", "gateways.0: kind is missing; "),
        ("{kind: webhook}", "gateways.0.url: required key is missing"),
        ("{kind: webhook, url: 'http://u:p@mes/'}", "gateways.0.url: is no address that can be used; "),
        ("{kind: webhook, url: 'http://mes/prüfung'}", "gateways.0.url: is no address that can be used; "),
        ("{kind: webhook, url: 'http://mes/ x'}", "gateways.0.url: is no address that can be used; "),
        ("{kind: webhook, url: 'http:///x'}", "gateways.0.url: is no address that can be used; "),
        ("{kind: webhook, url: 'ftp://mes/'}", "gateways.0.url: is no address that can be used; "),
        (
            "{kind: webhook, url: 'http://127.0.0.1', ca_file: a}",
            "gateways.0: ca_file is used with https only; ",
        ),
        ("{kind: webhook, url: 'http://mes', secret: a}", "gateways.0.secret: unknown key; "),
        ("{kind: folder, path: a, keep_days: -1}", "gateways.0.keep_days: Input should be greater than or"),
        ("{kind: opcua, key_file: a}", "gateways.0: certificate_file and key_file go together; "),
        (
            "{kind: opcua, trusted_folder: a}",
            "gateways.0: trusted_folder needs certificate_file and key_file; ",
        ),
        ("{kind: opcua, host: 0.0.0.0}", "gateways.0: host 0.0.0.0: whoever reaches it could read; "),
        ("{kind: opcua, host: plant}", "gateways.0: host plant: whoever reaches it could read; "),
        (
            "{kind: opcua, certificate_file: a, key_file: b, trusted_folder: c, anonymous: true}",
            "gateways.0: anonymous lets everybody in; ",
        ),
        ("{kind: modbus, port: 0}", "gateways.0.port: Input should be greater than or equal to 1 (got 0)"),
        ("{kind: modbus, name: Modbus}", "gateways.0.name: write 1 to 64 of the characters a-z, "),
        ("{kind: sparkplug, group: 'a/b'}", "gateways.0.group: write 1 to 64 characters without +, /"),
        ("{kind: sparkplug, ca_file: a}", "gateways.0: ca_file is used with TLS only; "),
        ("{kind: sparkplug, password_file: a}", "gateways.0: password_file needs a username beside it; "),
        ("{kind: modbus}, {kind: modbus}", "gateways: gateway name 'modbus' stands twice; "),
        (
            ", ".join(f"{{kind: modbus, name: m{number}}}" for number in range(9)),
            "gateways: Tuple should have",
        ),
    ],
)
def test_bad_input_names_the_line_the_key_and_the_fault(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parsed(f"# a comment\ngateways: [{text}]\n")
    (found,) = caught.value.problems
    assert found.startswith(f"a.yaml:2: {problem}")


def test_files_of_secrets_and_certificates_are_found_from_the_folder_of_the_settings() -> None:
    (webhook,) = parsed("gateways: [{kind: webhook, url: 'https://mes/a?b=c', secret_file: s}]\n").gateways
    assert webhook.model_dump()["secret_file"] == Path("/etc/plumbline/s")
