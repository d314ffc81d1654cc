"""Who can read the secrets. What stands in them is looked at by nobody here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from agent.doctor.finding import Said, failed, ok, skipped, wrong
from agent.doctor.site import Site
from agent.settings.credentials import CredentialError, check_private, is_credential
from agent.settings.gateways import OpcUaGateway, SparkplugGateway, WebhookGateway
from agent.settings.settings import Settings

FOLDER = "etc/plumbline/secrets"
OF_OTHERS = 0o077


def files(site: Site) -> Iterator[Said]:
    """Those that the settings name by their path."""
    named = {key: path for key, path in _named(site.settings).items() if not is_credential(path)}
    good = 0
    for key, path in named.items():
        try:
            check_private(path, key=key)
        except CredentialError as error:
            yield failed(error, f"chmod 600 {path}")
        else:
            good += 1
    if good:
        yield ok(f"{good} files that the settings name are private")
    elif not named:
        yield skipped("the settings name no secrets by their path")


def folder(site: Site) -> Iterator[Said]:
    """Those that systemd hands over, in the folder that is root's alone."""
    place = site.machine.root / FOLDER
    wanted = sorted(path.name for path in _credentials(site))
    if not place.is_dir():
        if wanted:
            yield wrong(
                f"{place}: no such folder, and the settings name %d/{wanted[0]}",
                f"`sudo install -d -m 700 {place}`, and put the secrets there",
            )
        else:
            yield skipped(f"there is no {place}")
        return
    mode = place.stat().st_mode & 0o777
    if mode & OF_OTHERS:
        yield wrong(
            f"{place}: others than its owner can look into it (mode {mode:04o})", f"sudo chmod 700 {place}"
        )
    if not os.access(place, os.R_OK | os.X_OK):
        yield skipped(f"{place}: may be looked into by root alone; run this as root")
        return
    yield from _inside(place, wanted)


def _inside(place: Path, wanted: list[str]) -> Iterator[Said]:
    found = sorted(one for one in place.iterdir() if one.is_file())
    sound = True
    for one in found:
        status = one.stat()
        if status.st_mode & OF_OTHERS:
            sound = False
            mode = status.st_mode & 0o777
            yield wrong(f"{one}: others than its owner can use it (mode {mode:04o})", f"sudo chmod 600 {one}")
        if not status.st_size:
            sound = False
            yield wrong(f"{one}: is empty", "write the secret into it")
    for name in sorted(set(wanted) - {one.name for one in found}):
        sound = False
        yield wrong(
            f"{place}/{name}: is not there, and the settings name %d/{name}",
            "put it there, with a LoadCredential= line as in drop-ins/credentials.conf, then restart",
        )
    if sound:
        yield ok(f"{place}: {len(found)} secrets, for root alone")


def _credentials(site: Site) -> list[Path]:
    return [] if site.known is None else [path for path in _named(site.known).values() if is_credential(path)]


def _named(settings: Settings) -> dict[str, Path]:
    """Files of secrets, by their key."""
    mqtt = settings.mqtt
    named = {
        "mqtt.password_file": mqtt.password_file,
        "mqtt.key_file": mqtt.key_file,
        "mqtt.key_password_file": mqtt.key_password_file,
    }
    for number, gateway in enumerate(settings.gateways):
        match gateway:
            case WebhookGateway():
                named[f"gateways.{number}.secret_file"] = gateway.secret_file
            case SparkplugGateway():
                named[f"gateways.{number}.password_file"] = gateway.password_file
            case OpcUaGateway():
                named[f"gateways.{number}.key_file"] = gateway.key_file
            case _:
                pass
    return {key: path for key, path in named.items() if path is not None}
