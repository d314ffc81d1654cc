"""What a station is told to be: desired settings and a desired bundle, each the payload of a signed envelope.

Both stand retained on a topic of the station or of a group, so that a station that was away finds them. They
are held to the letter. An issuer's documents count up within an epoch of the trust file.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal, TypeAlias

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from agent.contract import strict_json
from agent.contract.commands import text_in_utc
from agent.contract.strict_json import LARGEST_INTEGER
from agent.contract.topics import Topics

SETTINGS_TYPE = "application/vnd.plumbline.settings+json"
INSTALL_TYPE = "application/vnd.plumbline.bundle+json"
MAX_DOCUMENT_BYTES = 262_144  # of an envelope
MAX_SOURCES = 8

_ID = r"[a-z0-9_-]{1,64}"
_ADDRESS = re.compile(rf"station:{_ID}/{_ID}/{_ID}/{_ID}|group:{_ID}")

Id: TypeAlias = Annotated[str, Field(pattern=rf"^{_ID}$")]
Digest: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Instant: TypeAlias = Annotated[AwareDatetime, BeforeValidator(text_in_utc), Field(strict=False)]
_Count: TypeAlias = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class Desired(_Part):
    """What both kinds of document have."""

    issuer: Id = Field(description="whose documents count together; each address has one issuer")
    epoch: _Count = Field(description="of the trust file; counters start anew in a new one")
    counter: _Count = Field(description="grows with every document of the issuer")
    address: Annotated[str, Field(pattern=f"^(?:{_ADDRESS.pattern})$")] = Field(
        description="for whom: station:SITE/AREA/LINE/STATION, or group:NAME"
    )
    expires: Instant = Field(description="UTC; afterwards a station that knows the time refuses it")


class DesiredSettings(Desired):
    """`plumbline.desired-settings/1`."""

    schema_: Literal["plumbline.desired-settings/1"] = Field(
        alias="schema", description="name and major version of this message"
    )
    settings: dict[str, JsonValue] = Field(
        description="merge patch (RFC 7396) onto the settings that were good last; null removes a member"
    )
    onto: Literal["last_good", "file"] = Field(
        "last_good",
        description="file: onto the station's own file instead, as the whole of what is to be different by "
        "this address: what it was told before and is not told again goes",
    )


class Target(_Part):
    """The bundle that is to serve."""

    id: str = Field(min_length=1, max_length=128, description="its name, for people")
    sha256: Digest = Field(description="of its manifest, which names every file by its digest")
    size_bytes: int = Field(ge=1, le=LARGEST_INTEGER, description="of all its files together")


class HttpsSource(_Part):
    """From a server: the bundle's files lie below `url`."""

    kind: Literal["https"]
    url: str = Field(min_length=1, max_length=2048)


class FolderSource(_Part):
    """From a folder or .plumb file that the station can read, such as one on a stick."""

    kind: Literal["folder"]
    path: str = Field(min_length=1, max_length=1024)


class MqttSource(_Part):
    """In pieces through the broker, which the station asks for."""

    kind: Literal["mqtt"]


Source: TypeAlias = Annotated[HttpsSource | FolderSource | MqttSource, Field(discriminator="kind")]


class Window(_Part):
    """When the line may change its bundle."""

    from_: Instant = Field(alias="from", description="UTC; not before")
    until: Instant = Field(description="UTC; not after, and then it has failed")


class DesiredBundle(Desired):
    """`plumbline.desired-bundle/1`."""

    schema_: Literal["plumbline.desired-bundle/1"] = Field(
        alias="schema", description="name and major version of this message"
    )
    target: Target
    sources: tuple[Source, ...] = Field(
        (), max_length=MAX_SOURCES, strict=False, description="tried in this order; none: it is here already"
    )
    boundary: Literal["frame", "part"] = Field("frame", description="between which the line changes")
    window: Window | None = Field(None, description="null: as soon as it is proven")


def read_settings(payload: bytes) -> DesiredSettings:
    """Raises StrictJsonError or ValidationError."""
    return DesiredSettings.model_validate_json(_strict(payload))


def read_bundle(payload: bytes) -> DesiredBundle:
    """Raises StrictJsonError or ValidationError."""
    return DesiredBundle.model_validate_json(_strict(payload))


def station_address(topics: Topics) -> str:
    return f"station:{topics.site}/{topics.area}/{topics.line}/{topics.station}"


def group_address(group: str) -> str:
    return f"group:{group}"


def _strict(payload: bytes) -> bytes:
    """The same, read by one parser only; pydantic takes lists and text for what they mean from JSON."""
    return json.dumps(strict_json.parse(payload)).encode()
