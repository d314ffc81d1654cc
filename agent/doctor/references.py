"""What settings point to: models, pictures, calibrations, certificates, secrets, folders. Opened to be seen.

Nothing is made or changed, and nothing is asked over the network; an engine is opened and closed.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.address import masked_text
from agent.clock import SystemClock
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings.camera import Camera, FolderSource, HarvestersSource, LinescanSimSource, VideoSource
from agent.settings.credentials import READABLE, VARIABLE, check_private, is_credential, read_secret
from agent.settings.gateways import FolderGateway, Gateway, OpcUaGateway, SparkplugGateway, WebhookGateway
from agent.settings.outputs import OpcUaGate, Output
from agent.settings.settings import Settings
from agent.settings.shape import Keys

if TYPE_CHECKING:
    from agent.bundle.bundle import Bundle


class _Absent(PlumblineError):
    """A file or folder is not what the settings need."""


def problems(
    settings: Settings, wanted: Callable[[Keys], bool] = lambda keys: True
) -> Iterator[tuple[Keys, str]]:
    """Every key whose file or folder cannot be used as it is, with the reason and the remedy.

    Keys that are not `wanted` are not looked at.
    """
    for keys, look in _looks(settings):
        if not wanted(keys):
            continue
        try:
            look()
        except PlumblineError as error:
            yield keys, masked_text(shown(str(error).removeprefix(f"{keys[-1]}: ")))
        except OSError as error:  # of a name that is too long, a share that went away
            yield keys, masked_text(shown(f"cannot be looked at: {error.strerror or error}; set another"))


def _looks(settings: Settings) -> Iterator[tuple[Keys, Callable[[], object]]]:
    yield from _of_model(settings)
    for number, camera in enumerate(settings.cameras):
        for keys, look in _of_camera(camera):
            yield ("cameras", number, *keys), look
    if settings.page.enabled:
        yield ("page",), lambda: _page(settings)
    if (folder := settings.archive.folder) is not None:
        yield ("archive", "folder"), lambda: _made_where_it_lies(folder)
    yield ("outbox", "path"), lambda: _outbox(settings.outbox.path)
    yield ("engine", "cache"), lambda: _can_be_made(settings.engine_cache())
    if settings.mqtt.tls:
        from agent.uplink.mqtt.certificates import tls_context

        mqtt = settings.mqtt
        if not any(map(is_elsewhere, (mqtt.ca_file, mqtt.cert_file, mqtt.key_file, mqtt.key_password_file))):
            yield ("mqtt", "tls"), lambda: tls_context(settings.mqtt)
    for keys, look in _authority(settings.remote.download.ca_file):
        yield ("remote", "download", *keys), look
    if settings.mqtt.password_file is not None:
        yield ("mqtt", "password_file"), _secret(settings.mqtt.password_file)
    for number, gateway in enumerate(settings.gateways):
        for keys, look in _of_gateway(gateway):
            yield ("gateways", number, *keys), look
    for number, output in enumerate(settings.outputs):
        for keys, look in _of_output(output):
            yield ("outputs", number, *keys), look


def _of_model(settings: Settings) -> Iterator[tuple[Keys, Callable[[], object]]]:
    """The bundle, whether it is trusted here, and whether an engine serves it on this machine."""
    from agent.bundle.bundle import open_bundle
    from agent.bundle.trust import require_trusted

    yield ("bundle",), lambda: open_bundle(settings.bundle)
    try:
        bundle = open_bundle(settings.bundle)
    except (PlumblineError, OSError):
        return  # told above
    yield ("trust",), lambda: require_trusted(bundle, settings.trust)
    yield ("engine",), lambda: _an_engine_serves(bundle, settings)
    if (sha256 := settings.labels.set) is not None:
        yield ("labels", "set"), lambda: _label_set(settings, sha256, bundle)
    yield from _of_recipes(settings, bundle)


def _of_recipes(settings: Settings, station: Bundle) -> Iterator[tuple[Keys, Callable[[], object]]]:
    """The bundles that recipes name, as the station's is looked at, and whether all of them have room."""
    from agent.bundle.bundle import open_bundle
    from agent.bundle.trust import require_trusted
    from agent.line.opened import check_room

    opened: dict[str, Bundle] = {station.sha256: station}

    def look(path: Path) -> None:
        bundle = open_bundle(path)
        if bundle.sha256 not in opened:
            require_trusted(bundle, settings.trust)
            _an_engine_serves(bundle, settings)
            check_room(bundle, list(opened.values()), settings.engine.open_bundles_max_bytes)
            opened[bundle.sha256] = bundle

    for number, recipe in enumerate(settings.recipes):
        if recipe.bundle is not None:
            yield ("recipes", number, "bundle"), partial(look, recipe.bundle)
        if recipe.labels is not None:
            of = station if recipe.bundle is None else recipe.bundle
            yield ("recipes", number, "labels"), partial(_label_set, settings, recipe.labels, of)


def _label_set(settings: Settings, sha256: str, of: Bundle | Path) -> None:
    """Whether the set is here, whole, and of this bundle."""
    from agent.bundle.bundle import open_bundle
    from agent.labels.namer import require_own
    from agent.labels.shelf import shelf_of

    require_own(shelf_of(settings).get(sha256), open_bundle(of) if isinstance(of, Path) else of)


def _an_engine_serves(bundle: Bundle, settings: Settings) -> None:
    from agent.engines.choice import look_around
    from agent.engines.serving import make_serving
    from agent.engines.switch import Switch

    switch = Switch()
    with tempfile.TemporaryDirectory(prefix="plumbline-engines-") as folder:  # the agent's own stays as it is
        try:
            make_serving(
                bundle,
                settings.engine,
                look_around(),
                folder=Path(folder),
                switch=switch,
            ).open_first()
        finally:
            switch.close()


def _of_camera(camera: Camera) -> Iterator[tuple[Keys, Callable[[], object]]]:
    from agent.cameras.make import make_camera
    from agent.cameras.video.stream import is_live
    from agent.track import calibration

    def opened() -> None:
        source = make_camera(camera.name, camera.source, SystemClock())
        source.open()
        source.close()

    match camera.source:
        case FolderSource() | LinescanSimSource():
            yield ("source", "path"), opened
        case VideoSource(url=url) if not is_live(url):
            yield ("source", "url"), opened
        case HarvestersSource(producer=producer):
            yield ("source", "producer"), lambda: _file(producer)
        case _:
            pass
    if camera.flat_field.file is not None:
        yield ("flat_field", "file"), lambda: calibration.load(camera.name, camera.flat_field)
    folder = camera.web.roll.folder
    if folder is not None:
        yield ("web", "roll", "folder"), lambda: _can_be_made(folder)


def _of_gateway(gateway: Gateway) -> Iterator[tuple[Keys, Callable[[], object]]]:
    match gateway:
        case FolderGateway():
            yield ("path",), lambda: _made_where_it_lies(gateway.path)
        case WebhookGateway():
            if gateway.secret_file is not None:
                from agent.gateways.webhook import read_secret as read_signing_secret

                path = gateway.secret_file
                if not is_elsewhere(path):
                    yield ("secret_file",), lambda: read_signing_secret(path)
            yield from _authority(gateway.ca_file)
        case SparkplugGateway():
            if gateway.password_file is not None:
                yield ("password_file",), _secret(gateway.password_file)
            yield from _authority(gateway.ca_file)
        case OpcUaGateway():
            for key in ("certificate_file", "key_file"):
                path = getattr(gateway, key)
                if path is not None and not is_elsewhere(path):
                    yield (key,), partial(_file, path)
            if gateway.key_file is not None and not is_elsewhere(gateway.key_file):
                key_file = gateway.key_file
                yield ("key_file",), lambda: check_private(key_file, key="key_file")
            if gateway.trusted_folder is not None:
                folder = gateway.trusted_folder
                yield ("trusted_folder",), lambda: _folder(folder)
        case _:
            pass


def _of_output(output: Output) -> Iterator[tuple[Keys, Callable[[], object]]]:
    gate = output.gate
    if not isinstance(gate, OpcUaGate):
        return
    for key in ("certificate_file", "key_file", "server_certificate_file"):
        path = getattr(gate, key)
        if path is not None and not is_elsewhere(path):
            yield ("gate", key), partial(_file, path)
    if gate.key_file is not None and not is_elsewhere(gate.key_file):
        key_file = gate.key_file
        yield ("gate", "key_file"), lambda: check_private(key_file, key="key_file")


def is_elsewhere(path: Path | None) -> bool:
    """A credential that systemd hands over at the start of the unit: it is not there for whoever looks."""
    return path is not None and is_credential(path) and not os.environ.get(VARIABLE)


def _secret(path: Path) -> Callable[[], object]:
    return lambda: None if is_elsewhere(path) else read_secret(path, key="password_file")


def _authority(ca_file: Path | None) -> Iterator[tuple[Keys, Callable[[], object]]]:
    def look() -> None:
        try:
            ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise _Absent(f"{ca_file}: not usable as certificates ({error}); {READABLE}") from error

    if ca_file is not None and not is_elsewhere(ca_file):
        yield ("ca_file",), look


def _page(settings: Settings) -> None:
    """Where it listens, and who is let in: the accounts lie beside the outbox."""
    from agent.page.opened import accounts_of, check_known
    from agent.page.server import check_address

    check_address(settings.page.host, settings.page.port)
    try:
        _outbox(settings.outbox.path)
    except (PlumblineError, OSError):
        return  # told of its own key
    check_known(settings)
    accounts_of(settings)


def _file(path: Path) -> None:
    if not path.is_file():
        raise _Absent(f"{path}: no such file; {READABLE}")
    if not os.access(path, os.R_OK):
        raise _Absent(f"{path}: cannot be read; {READABLE}")


def _folder(path: Path) -> None:
    if not path.is_dir():
        raise _Absent(f"{path}: no such folder; make it, or set another")


def _outbox(path: Path) -> None:
    from agent.outbox.place import check_place

    check_place(path)
    if path.parts[:2] in (("/", "proc"), ("/", "sys")):
        raise _Absent(f"{path}: is in the kernel's own folder; name a file on a disk")
    if not os.access(path.parent, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise _Absent(f"{path}: cannot be written; give the agent's user write permission to file and folder")


def _made_where_it_lies(path: Path) -> None:
    """Of what fills a disk: where that is not mounted, its parent is missing."""
    if not os.path.lexists(path.parent):
        tilde = any(part.startswith("~") for part in path.parts)
        remedy = "~ is not expanded here, write the whole path" if tilde else "mount its disk, or make it"
        raise _Absent(f"{path}: the folder that it is to lie in, {path.parent}, does not exist; {remedy}")
    _can_be_made(path)


def _can_be_made(path: Path) -> None:
    nearest = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if not nearest.is_dir():
        raise _Absent(f"{path}: {nearest} is no folder; remove it, or set another")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise _Absent(f"{path}: {nearest} cannot be written; give the agent's user write permission to it")
