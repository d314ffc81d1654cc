"""What a settings file leaves open: keys that have another default here, and where relative paths start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from agent.settings.camera import VideoSource
from agent.settings.credentials import is_credential

Model = TypeVar("Model", bound=BaseModel)


def complete(data: dict[str, Any], defaults: Mapping[tuple[str, ...], str]) -> None:
    """Write what is not said; a section that is none is told later."""
    for (*sections, key), value in defaults.items():
        place: Any = data
        for section in sections:
            place = place.setdefault(section, {}) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place.setdefault(key, value)


def anchored(settings: Model, base: Path) -> Model:
    """The same settings with every relative path made absolute from `base`."""

    def anchor(value: Any) -> Any:
        if isinstance(value, VideoSource) and "://" not in value.url:
            return value.model_copy(update={"url": str(base.resolve() / value.url)})
        if isinstance(value, Path):
            return value if is_credential(value) else base.resolve() / value
        if isinstance(value, BaseModel):
            return value.model_copy(
                update={key: anchor(getattr(value, key)) for key in type(value).model_fields}
            )
        if isinstance(value, tuple):
            return tuple(anchor(item) for item in value)
        return value

    made: Model = anchor(settings)
    return made
