"""Features of a camera: written in order, each checked before it is written and read back after.

What may be written is decided by pure functions over a `Feature`; only `look`, `_put` and `_get` call
the camera.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from agent.cameras.camera import CameraMisconfigured
from agent.cameras.genicam.library import AravisError, Library
from agent.settings.camera import FeatureValue, FeatureWrite

FeatureKind: TypeAlias = Literal["command", "boolean", "enumeration", "integer", "float", "string"]
KINDS: tuple[FeatureKind, ...] = ("command", "boolean", "enumeration", "integer", "float", "string")
ROUNDING = 0.01  # cameras round floats to what their clock can do
READ_ONLY, WRITE_ONLY = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """What the camera says of one of its features."""

    name: str
    kind: FeatureKind
    access: int  # 0 read only, 1 write only, 2 both
    node: int = 0  # Aravis' handle
    entries: tuple[str, ...] = ()  # of an enumeration
    low: float = -math.inf
    high: float = math.inf
    step: int = 1


class FeatureError(CameraMisconfigured):
    """A feature that cannot be written as the settings ask."""


def write_features(library: Library, device: int, camera: str, writes: Sequence[FeatureWrite]) -> list[str]:
    """Write and verify all of them in order; the names of optional ones that the camera does not have.

    Raises FeatureError naming camera, feature, value and remedy, and AravisError for a camera that does not
    answer. An optional feature may be absent; one that is there must take its value.
    """
    absent = []
    for write in writes:
        try:
            feature = look(library, device, write.name)
            if feature is None and write.optional:
                absent.append(write.name)
                continue
            value = checked(write, feature)
            assert feature is not None
            _put(library, feature, value)
            if feature.kind != "command" and feature.access != WRITE_ONLY:
                got = _get(library, feature)
                if not agree(value, got):
                    raise FeatureError(
                        f"the camera has {_shown(got)} after it was written; set the features that it depends"
                        " on before it, or this value"
                    )
        except (AravisError, FeatureError) as error:
            if isinstance(error, AravisError) and error.unanswered:
                raise
            raise FeatureError(f"{camera}: feature {write.name} = {_shown(write.value)}: {error}") from error
    return absent


def look(library: Library, device: int, name: str) -> Feature | None:
    """A feature as the camera describes it now, None where it has none of that name."""
    node = library.arv_device_get_feature(device, name.encode())
    kind = next((kind for kind in KINDS if node and _is_a(library, node, kind)), None)
    if kind is None:
        return None
    entries: tuple[str, ...] = ()
    low, high, step = -math.inf, math.inf, 1
    if kind == "enumeration":
        entries = _entries(library, node)
    elif kind == "integer":
        low, high = library.arv_gc_integer_get_min(node), library.arv_gc_integer_get_max(node)
        step = max(1, library.arv_gc_integer_get_inc(node))
    elif kind == "float":
        low, high = library.arv_gc_float_get_min(node), library.arv_gc_float_get_max(node)
    access = library.arv_gc_feature_node_get_actual_access_mode(node)
    return Feature(
        name=name, kind=kind, access=access, node=node, entries=entries, low=low, high=high, step=step
    )


def checked(write: FeatureWrite, feature: Feature | None) -> FeatureValue | None:
    """The value as the feature's kind takes it, None for a command; raises FeatureError."""
    value = write.value
    if feature is None:
        raise FeatureError("the camera has no such feature; correct the name, or mark it optional: true")
    if feature.access == READ_ONLY:
        raise FeatureError("is read only now; remove it, or write first what it is locked by")
    match feature.kind:
        case "command" if value is not None:
            raise FeatureError("is a command; leave its value out")
        case "command":
            return None
        case "boolean" if isinstance(value, bool):
            return value
        case "enumeration" if isinstance(value, str):
            if value not in feature.entries:
                raise FeatureError(f"is not one of {', '.join(feature.entries)}; take one of these")
            return value
        case "integer" if isinstance(value, int) and not isinstance(value, bool):
            _check_span(value, feature)
            if (value - feature.low) % feature.step:
                raise FeatureError(f"must be {feature.low} and a multiple of {feature.step} more")
            return value
        case "float" if isinstance(value, int | float) and not isinstance(value, bool):
            _check_span(value, feature)
            return float(value)
        case "string" if isinstance(value, str):
            return value
    raise FeatureError(f"is of kind {feature.kind}; give a value of that kind")


def agree(wanted: FeatureValue | None, got: FeatureValue) -> bool:
    """Whether what was read back is what was written, floats within ROUNDING."""
    if isinstance(wanted, float) and isinstance(got, float):
        return math.isclose(wanted, got, rel_tol=ROUNDING)
    return wanted == got


def _check_span(value: float, feature: Feature) -> None:
    if not feature.low <= value <= feature.high:
        raise FeatureError(f"is outside {feature.low:g} to {feature.high:g}; take a value within")


def _is_a(library: Library, node: int, kind: FeatureKind) -> bool:
    gtype = getattr(library, f"arv_gc_{kind}_get_type")()
    return bool(library.g_type_check_instance_is_a(node, gtype))


def _entries(library: Library, node: int) -> tuple[str, ...]:
    count = ctypes.c_uint()
    found = library.arv_gc_enumeration_dup_available_string_values(node, ctypes.byref(count))
    names = ctypes.cast(found, ctypes.POINTER(ctypes.c_char_p))
    entries = tuple(names[place].decode() for place in range(count.value))
    library.g_free(found)
    return entries


def _put(library: Library, feature: Feature, value: FeatureValue | None) -> None:
    if feature.kind == "command":
        library.arv_gc_command_execute(feature.node)
        return
    put = getattr(library, f"arv_gc_{feature.kind}_set_{_value(feature)}")
    put(feature.node, value.encode() if isinstance(value, str) else value)


def _get(library: Library, feature: Feature) -> FeatureValue:
    got: Any = getattr(library, f"arv_gc_{feature.kind}_get_{_value(feature)}")(feature.node)
    if isinstance(got, bytes):
        return got.decode(errors="replace")
    return bool(got) if feature.kind == "boolean" else got


def _value(feature: Feature) -> str:
    return "string_value" if feature.kind == "enumeration" else "value"


def _shown(value: FeatureValue | None) -> str:
    return "(execute)" if value is None else repr(value)
