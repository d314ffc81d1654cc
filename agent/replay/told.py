"""What was recorded of one trigger, from the archive or a file that somebody kept; and its bundle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.archive import entry, files
from agent.archive.entry import Entry, EntryError
from agent.archive.files import TORN
from agent.bundle.bundle import Bundle, open_bundle, read_head
from agent.bundle.files import open_files
from agent.bundle.trust import require_trusted
from agent.contract import strict_json
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.remote.rollout.depot import Depot
from agent.settings import bounded
from agent.settings.settings import Settings

VERDICT = "plumbline.verdict/"
MAX_FILE_BYTES = 1_000_000  # a verdict has 8 KiB
LONGEST_NAME = 100


class ReplayError(PlumblineError):
    """The decision cannot be made once more; says why, and what to do."""


class _Part(BaseModel):
    """Fields that a later version has added are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Score(_Part):
    raw: float
    threshold: float


class Defect(_Part):
    score: float
    bbox_px: tuple[int, int, int, int]
    bbox_web: tuple[int, int, int, int] | None = None
    area_px: int


class FrameOf(_Part):
    sha256: str | None


class ModelOf(_Part):
    bundle: str
    sha256: str
    engine: str


class SettingsOf(_Part):
    sha256: str


class Told(_Part):
    """As much of a verdict as is compared."""

    result_id: str
    station: str
    camera: str
    created: str
    verdict: Literal["pass", "fail", "undecided", "skipped"]
    reason: str | None
    recipe_id: str = "default"
    score: Score | None
    defects: tuple[Defect, ...] = ()
    continued_from_line: int | None = None
    frame: FrameOf
    model: ModelOf
    settings: SettingsOf


def read_told(path: Path) -> Told:
    """The verdict in a file, as it was sent. Raises ReplayError."""
    place = shown(str(path))
    try:
        content = strict_json.parse(bounded.text_of(bounded.read(path, max_bytes=MAX_FILE_BYTES)).encode())
    except (bounded.UnreadableError, strict_json.StrictJsonError) as error:
        raise ReplayError(
            f"{place}: is no verdict ({error}); give the JSON of one verdict as it was sent"
        ) from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if not isinstance(schema, str) or not schema.startswith(VERDICT):
        raise ReplayError(f"{place}: is no verdict; give the JSON of one verdict as it was sent")
    if schema != f"{VERDICT}1":
        raise ReplayError(
            f"{place}: is of schema {shown(schema[:LONGEST_NAME])}, and this version knows {VERDICT}1; use a"
            " newer plumbline"
        )
    try:
        return Told.model_validate(content)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise ReplayError(
            f"{place}: is no whole verdict (at {shown(where[:LONGEST_NAME])}); give it as it was sent"
        ) from error


def find_entry(folder: Path, result_id: str) -> Entry:
    """What the archive keeps of a record. Raises ReplayError, and EntryError for one that is not sound."""
    name, place = shown(result_id[:LONGEST_NAME]), shown(str(folder))
    try:
        for day in reversed(files.days(folder)):
            try:
                path = files.place(folder, result_id, day)
            except ValueError:
                raise ReplayError(
                    f"{name}: is neither a result_id nor a file that is there; give the id of a verdict"
                ) from None
            if path.exists():
                found = entry.read(path)
                if found.verdict.result_id != result_id:
                    raise EntryError(
                        f"{shown(str(path))}: is entry {shown(found.verdict.result_id)}; it was renamed"
                    )
                return found
        if (folder / TORN / f"{result_id}{files.SUFFIX}").exists():
            raise ReplayError(f"{name}: its picture was cut short and lies in {place}/{TORN}; check the disk")
    except OSError as error:
        raise ReplayError(f"{place}: cannot be read ({error.strerror}); check archive.folder") from error
    raise ReplayError(
        f"{name}: {place} keeps no picture of it: it is unknown here, was not kept (archive.pass_share) or"
        " has made room (archive.days, archive.max_bytes)"
    )


def find_bundle(wanted: Settings, told: Told) -> Bundle:
    """The bundle that judged then, wherever this station has it. Raises ReplayError, and NotTrusted."""
    sha256 = told.model.sha256
    if not sha256:
        raise ReplayError(f"{shown(told.result_id)}: no model judged it, so there is nothing to do once more")
    for path in _places(wanted, sha256):
        try:
            with open_files(path) as there:
                if read_head(there, path).sha256 != sha256:
                    continue
        except PlumblineError:  # of another bundle, or of a place where none lies
            continue
        return trusted(open_bundle(path), wanted)
    raise ReplayError(
        f"bundle {shown(told.model.bundle)} ({sha256[:12]}), which judged then, is not on this station any"
        " more; give it with --bundle"
    )


def trusted(bundle: Bundle, wanted: Settings) -> Bundle:
    """The same. Its counter may be of any height: it comes into no force. Raises NotTrusted."""
    require_trusted(bundle, wanted.trust.model_copy(update={"lowest_counter": 1}))
    return bundle


def _places(wanted: Settings, sha256: str) -> Iterator[Path]:
    yield wanted.bundle
    yield from (one.bundle for one in wanted.recipes if one.bundle is not None)
    yield Depot(folder=wanted.bundle.parent).path_of(sha256)
