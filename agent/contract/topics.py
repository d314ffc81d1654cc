"""Where things are published: the topic table and full topic names.

Every name is `plumbline/v1/{site}/{area}/{line}/{station}/` and a suffix, seven slashes at most,
because some cloud brokers accept no more; what groups of stations are told stands below
`plumbline/v1/groups/{group}/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias, get_args

Qos: TypeAlias = Literal[0, 1]
TopicName: TypeAlias = Literal[
    "verdict",
    "crop",
    "crop_header",
    "event",
    "mark",
    "head",
    "actuation",
    "part",
    "status",
    "metrics",
    "cmd",
    "rsp",
    "desired",
    "reported",
    "bundle_get",
    "bundle_data",
]
DesiredKind: TypeAlias = Literal["config", "bundle"]

_ID = re.compile(r"[a-z0-9_-]{1,64}")
_ECHO = re.compile(r"(?!\.+$)[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How the messages of one topic travel."""

    qos: Qos
    retain: bool


TOPICS: dict[TopicName, Delivery] = {
    "verdict": Delivery(qos=1, retain=False),
    "crop": Delivery(qos=1, retain=False),
    "crop_header": Delivery(qos=1, retain=False),  # MQTT 3.1.1 only: a crop's properties as JSON
    "event": Delivery(qos=1, retain=False),
    "mark": Delivery(qos=1, retain=False),
    "head": Delivery(qos=1, retain=True),  # the newest stands at the broker: what is cut off behind it shows
    "actuation": Delivery(qos=1, retain=False),
    "part": Delivery(qos=1, retain=False),
    "status": Delivery(qos=1, retain=True),
    "metrics": Delivery(qos=0, retain=False),
    "cmd": Delivery(qos=1, retain=False),
    "rsp": Delivery(qos=1, retain=False),
    "desired": Delivery(qos=1, retain=True),
    "reported": Delivery(qos=1, retain=True),
    "bundle_get": Delivery(qos=0, retain=False),
    "bundle_data": Delivery(qos=0, retain=False),
}

DESIRED: tuple[DesiredKind, ...] = get_args(DesiredKind)
RESPONSE_TOPIC_CHARACTERS = 1024
TOPIC_BYTES = 65_535  # MQTT 5, section 1.5.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The topic tree of one station. Raises ValueError for an id that cannot stand in a topic."""

    site: str
    area: str
    line: str
    station: str

    def __post_init__(self) -> None:
        for field in fields(self):
            _checked(field.name, getattr(self, field.name))

    @property
    def prefix(self) -> str:
        """Everything before the suffix, without the last slash."""
        return f"plumbline/v1/{self.site}/{self.area}/{self.line}/{self.station}"

    def verdict(self, camera: str) -> str:
        return f"{self.prefix}/verdict/{_checked('camera', camera)}"

    def crop(self, camera: str) -> str:
        return f"{self.prefix}/crop/{_checked('camera', camera)}"

    def crop_header(self, camera: str) -> str:
        return f"{self.prefix}/crop_header/{_checked('camera', camera)}"

    def event(self) -> str:
        return f"{self.prefix}/event"

    def mark(self) -> str:
        return f"{self.prefix}/mark"

    def head(self) -> str:
        return f"{self.prefix}/head"

    def actuation(self) -> str:
        return f"{self.prefix}/actuation"

    def part(self, rule: str) -> str:
        return f"{self.prefix}/part/{_checked('rule', rule)}"

    def status(self) -> str:
        return f"{self.prefix}/status"

    def metrics(self) -> str:
        return f"{self.prefix}/metrics"

    def cmd(self, name: str) -> str:
        return f"{self.prefix}/cmd/{_checked('command', name)}"

    def rsp(self, name: str) -> str:
        return f"{self.prefix}/rsp/{_checked('command', name)}"

    def rsp_of(self, asked: str) -> str:
        """`rsp` of any name that stood in a `cmd` topic; `rsp/unknown` for one that is not repeated."""
        return f"{self.prefix}/rsp/{asked if _ECHO.fullmatch(asked) else 'unknown'}"

    def commands(self) -> str:
        """The filter that matches every `cmd`."""
        return f"{self.prefix}/cmd/+"

    def desired(self, kind: DesiredKind) -> str:
        """What this one station is to be."""
        return f"{self.prefix}/{kind}/desired"

    def documents(self, groups: Iterable[str]) -> tuple[str, ...]:
        """Every topic on which this station, a member of these groups, is told what to be."""
        own = tuple(self.desired(kind) for kind in DESIRED)
        return own + tuple(group_desired(kind, group) for group in groups for kind in DESIRED)

    def reported(self) -> str:
        return f"{self.prefix}/config/reported"

    def bundle_get(self) -> str:
        """Where the station asks for pieces of a bundle."""
        return f"{self.prefix}/bundle/get"

    def bundle_data(self) -> str:
        """Where it gets them."""
        return f"{self.prefix}/bundle/data"


def group_desired(kind: DesiredKind, group: str) -> str:
    """What all stations of a group are to be."""
    return f"plumbline/v1/groups/{_checked('group', group)}/{kind}/desired"


def allowed_response_topic(topic: str, topics: Topics, prefixes: Iterable[str]) -> bool:
    """Whether a response may go to `topic`, which somebody else chose: our own `rsp/`, or below a prefix.

    Prefixes are whole levels (`mes/answers` is no prefix of `mes/answers2`). Of our own topics none but
    `rsp/` is ever allowed: a verdict or status must not be forged with a command.
    """
    if not _is_topic_name(topic) or len(topic) > RESPONSE_TOPIC_CHARACTERS:
        return False
    if topic.startswith(f"{topics.prefix}/"):
        return topic.startswith(f"{topics.prefix}/rsp/")
    return any(topic.startswith(f"{prefix}/") for prefix in prefixes)


def _is_topic_name(topic: str) -> bool:
    if topic.startswith("$") or any(sign in topic for sign in "+#\0"):
        return False
    try:
        return 0 < len(topic.encode()) <= TOPIC_BYTES
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def _checked(name: str, value: str) -> str:
    if not _ID.fullmatch(value):
        raise ValueError(f"{name}: {value!r} cannot stand in a topic; use 1 to 64 of a-z, 0-9, _ and -")
    return value
