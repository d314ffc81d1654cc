"""The broker: reached, and asked for a CONNECT as the station makes it, under another client id."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from agent.clock import new_uuid7
from agent.doctor.finding import Said, failed, note, ok, skipped
from agent.doctor.references import is_elsewhere
from agent.doctor.site import Site
from agent.errors import PlumblineError
from agent.remote.settings.preflight import tried
from agent.settings.gateways import SparkplugGateway, WebhookGateway
from agent.settings.settings import Mqtt
from agent.uplink.mqtt import refusals

REACH_S = 3.0
SEE = "see mqtt.host, mqtt.port, cable and firewall"
OWN_LOGIN = (
    "the station is logged in itself, as its status says; a broker that makes the client id of the login "
    "would end that connection for a second one"
)
HANDED_OVER = "its secrets are handed over by systemd; run this as root while the service runs"


def reach(site: Site) -> Iterator[Said]:
    mqtt = site.settings.mqtt
    if (reason := _unreached(mqtt)) is not None:
        yield failed(PlumblineError(reason), SEE)
        return
    yield ok(f"{mqtt.host}:{mqtt.port} takes connections")
    if not mqtt.tls and not _is_here(mqtt.host):
        yield note(
            f"{mqtt.host}: without TLS everybody on the way can read and change what is sent",
            "set mqtt.tls, and certificates on both sides",
        )


def login(site: Site) -> Iterator[Said]:
    mqtt = site.settings.mqtt
    if any(map(is_elsewhere, secrets_of(mqtt))):
        yield skipped(HANDED_OVER)
        return
    if _unreached(mqtt) is not None:
        yield skipped("it cannot be reached")
        return
    if site.runs and (mqtt.username or mqtt.cert_file):
        yield skipped(OWN_LOGIN)
        return
    client_id = f"plumbline-doctor-{new_uuid7(site.machine.clock)[-8:]}"
    protocol, reason = tried(mqtt, client_id)
    if reason is None:
        who = mqtt.username or ("its certificate" if mqtt.cert_file else "nobody in particular")
        yield ok(f"lets us in as {who}, by MQTT {protocol}{' over TLS' if mqtt.tls else ''}")
        return
    yield failed(PlumblineError(reason), "see the broker's log")


def gateways(site: Site) -> Iterator[Said]:
    """Whether those that gateways connect to take connections."""
    found = False
    for gateway in site.settings.gateways:
        match gateway:
            case WebhookGateway():
                parts = urlsplit(gateway.url)
                place = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
            case SparkplugGateway():
                place = (gateway.host, gateway.port)
            case _:
                continue
        found = True
        try:
            socket.create_connection(place, REACH_S).close()
        except OSError as error:
            words = f"{gateway.name}: {place[0]}:{place[1]} does not take connections ({error})"
            yield failed(PlumblineError(words), "see whether it runs, and cable and firewall")
        else:
            yield ok(f"{gateway.name}: {place[0]}:{place[1]} takes connections")
    if not found:
        yield skipped("no gateway connects to anybody")


def secrets_of(mqtt: Mqtt) -> tuple[Path | None, ...]:
    return (mqtt.ca_file, mqtt.cert_file, mqtt.key_file, mqtt.key_password_file, mqtt.password_file)


def _unreached(mqtt: Mqtt) -> str | None:
    try:
        socket.create_connection((mqtt.host, mqtt.port), REACH_S).close()
    except OSError as error:
        return refusals.failed(error, mqtt)
    return None


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False
