"""A label set: what defects of one product look like, by class, in the features of one bundle. Pure.

    {"schema":"plumbline.labels/1", ...}\n    one line of canonical JSON: `Head`
    vectors                                   float32, lower byte first, (n, d), in the order of its samples

Its digest is that of these bytes; settings and verdicts name a set by it, and nothing in it is ever changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.contract.label import Label
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.messages import Floats

UNKNOWN = "unknown"  # what is like no class; no class has this name
LEAST = 5  # marks of a class
MOST_OF_CLASS = 100  # the newest; more of one class tell little and take time
MOST_CLASSES = 50
MAX_HEAD_BYTES = 4 << 20
MAX_BYTES = 64 << 20
MAX_CHANNELS = 4096


class LabelsError(PlumblineError):
    """Labels cannot be learned, read or used; names the place, the cause and the remedy."""


class BeingLearnedError(LabelsError):
    """Somebody else's labels are being learned at the moment."""


class Head(BaseModel):
    """All of a set but its vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)

    schema_: Literal["plumbline.labels/1"] = Field("plumbline.labels/1", alias="schema")
    recipe: str = Field(max_length=64, description="for which it was learned")
    bundle: str = Field(max_length=64, description="name of the bundle whose features these are")
    bundle_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    classes: tuple[Label, ...] = Field(min_length=1, max_length=MOST_CLASSES)
    class_of: tuple[int, ...] = Field(
        max_length=MOST_CLASSES * MOST_OF_CLASS, description="of each sample, into `classes`"
    )
    sources: tuple[str, ...] = Field(description="of each sample: result_id of the verdict, or file")
    scales: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        min_length=1, max_length=8, description="of each part of a vector"
    )
    limit: float = Field(gt=0, description="distance beyond which a defect is unknown")
    sharpness: float = Field(gt=0, le=100, description="how fast certainty grows with a clear lead")

    @model_validator(mode="after")
    def _samples_are_of_classes(self) -> Head:
        counts = [self.class_of.count(index) for index in range(len(self.classes))]
        if len({one.casefold() for one in self.classes}) < len(self.classes):
            raise ValueError("classes must differ")
        if UNKNOWN in {one.casefold() for one in self.classes}:
            raise ValueError(f"{UNKNOWN} is no class")
        if sum(counts) != len(self.class_of) or len(self.sources) != len(self.class_of):
            raise ValueError("each sample has one class and one source")
        if min(counts) < LEAST:
            raise ValueError(f"each class has {LEAST} samples or more")
        return self


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """`vectors` (n, d) as `vectors.py` makes them: parts of equal width, each of length 1."""

    head: Head
    vectors: Floats

    @cached_property
    def scaled(self) -> Floats:
        """(n, d), each part by its scale, so that plain distances count."""
        return by_scale(self.vectors, self.head.scales)

    @cached_property
    def encoded(self) -> bytes:
        content = self.head.model_dump(mode="json", by_alias=True)
        line = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return line.encode() + b"\n" + self.vectors.astype("<f4").tobytes()

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.encoded).hexdigest()

    @property
    def counts(self) -> dict[str, int]:
        """Samples of each class."""
        return {name: self.head.class_of.count(index) for index, name in enumerate(self.head.classes)}


def decoded(data: bytes, *, name: str) -> LabelSet:
    """The set in `data`, which stood in `name`. Raises LabelsError."""
    place = shown(name)
    line, found, rest = data[:MAX_HEAD_BYTES].partition(b"\n")
    if not found:
        raise LabelsError(f"{place}: is no label set; learn it anew with `plumbline labels learn`")
    try:
        head = Head.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "content"
        words = f"{shown(where[:100])}: {shown(first['msg'][:200])}"
        raise LabelsError(f"{place}: {words}; learn it anew with `plumbline labels learn`") from error
    rest = data[len(line) + 1 :]
    count = len(head.class_of)
    width, odd = divmod(len(rest), 4 * count)
    if odd or not 0 < width <= MAX_CHANNELS or width % len(head.scales):
        raise LabelsError(
            f"{place}: {len(rest)} bytes are no vectors of {count} samples; it was cut short or changed: "
            "learn it anew with `plumbline labels learn`"
        )
    vectors = np.frombuffer(rest, "<f4").astype(np.float32).reshape(count, width)
    if not np.isfinite(vectors).all():
        raise LabelsError(f"{place}: holds vectors that are no numbers; learn it anew")
    return LabelSet(head=head, vectors=vectors)


def by_scale(vectors: Floats, scales: Sequence[float]) -> Floats:
    """(n, d) with each of its `len(scales)` parts divided by its own."""
    parts = vectors.reshape(len(vectors), len(scales), -1)  # (n, parts, d / parts)
    scaled: Floats = (parts / np.asarray(scales, np.float32)[:, None]).reshape(len(vectors), -1)
    return scaled
