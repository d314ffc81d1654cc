"""TLS: how long certificates are good for, the broker's, ours, and those of the CA."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography import x509

from agent.clock import rfc3339
from agent.doctor.checks.broker import HANDED_OVER, REACH_S, secrets_of
from agent.doctor.finding import Said, failed, note, ok, skipped, wrong
from agent.doctor.references import is_elsewhere
from agent.doctor.site import Site
from agent.errors import PlumblineError
from agent.settings.settings import Mqtt
from agent.uplink.mqtt import refusals
from agent.uplink.mqtt.certificates import certificate, doubt, read_pem, tls_context

SOON = timedelta(days=30)
OFF = "mqtt.tls is off"

RENEWAL = (
    "have it renewed, and replace mqtt.cert_file; where that is %d/NAME, replace /etc/plumbline/secrets/NAME "
    "and restart the service, which has a copy of its own"
)


def of_broker(site: Site) -> Iterator[Said]:
    mqtt = site.settings.mqtt
    if (reason := _unseen(mqtt)) is not None:
        yield skipped(reason)
        return
    context = tls_context(mqtt)
    context.sslsocket_class = ssl.SSLSocket
    try:
        with (
            socket.create_connection((mqtt.host, mqtt.port), REACH_S) as bare,
            context.wrap_socket(bare, server_hostname=mqtt.host) as talk,
        ):
            shown = talk.getpeercert(binary_form=True) or b""
    except ssl.SSLError as error:
        yield failed(PlumblineError(refusals.failed(error, mqtt)), "have the broker's certificate renewed")
        return
    except OSError:
        yield skipped("the broker cannot be reached")
        return
    ends = x509.load_der_x509_certificate(shown).not_valid_after_utc
    yield _lasting("the broker's certificate", ends, site, "have it renewed on the broker")


def ours(site: Site) -> Iterator[Said]:
    mqtt = site.settings.mqtt
    if (reason := _unseen(mqtt)) is not None:
        yield skipped(reason)
        return
    if mqtt.cert_file is None:
        yield note(
            "the station shows no certificate",
            "set mqtt.cert_file and mqtt.key_file, if the broker knows them",
        )
        return
    now = site.machine.clock.utc_now()
    tls_context(mqtt)  # raises where certificate and key do not fit, or cannot be read
    if (found := doubt(mqtt, station=site.settings.identity.station, now=now)) is not None:
        yield failed(PlumblineError(found), "renew it and replace mqtt.cert_file")
        return
    ends = certificate(mqtt.cert_file).not_valid_after_utc
    yield _lasting("our certificate", ends, site, RENEWAL)


def of_authority(site: Site) -> Iterator[Said]:
    mqtt = site.settings.mqtt
    if (reason := _unseen(mqtt)) is not None or mqtt.ca_file is None:
        yield skipped(reason or "mqtt.ca_file is not set: the system's authorities count")
        return
    place, data = read_pem(mqtt.ca_file, "mqtt.ca_file")
    try:
        found = x509.load_pem_x509_certificates(data)
    except ValueError as error:
        yield wrong(f"{place}: no certificates in PEM in it ({error})", "take the file of the broker's CA")
        return
    ends = min(one.not_valid_after_utc for one in found)
    yield _lasting(
        f"the first of {len(found)} in mqtt.ca_file to end", ends, site, "take the plant's new CA file"
    )


def _unseen(mqtt: Mqtt) -> str | None:
    """Why nothing can be looked at."""
    if not mqtt.tls:
        return OFF
    return HANDED_OVER if any(map(is_elsewhere, secrets_of(mqtt))) else None


def _lasting(what: str, ends: datetime, site: Site, remedy: str) -> Said:
    left = ends - site.machine.clock.utc_now()
    words = f"{what} is good until {rfc3339(ends)[:10]}, {left.days} days from now"
    if left < timedelta():
        return wrong(f"{what} ended on {rfc3339(ends)}", remedy)
    return note(words, remedy) if left < SOON else ok(words)
