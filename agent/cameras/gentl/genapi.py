"""Writes GenICam features in their order through a GenApi node map, and reads each one back."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from agent.cameras.camera import CameraMisconfigured
from agent.settings.camera import FeatureWrite

READ_ONLY, WRITE_ONLY, READ_WRITE = 3, 2, 4  # GenApi EAccessMode
ROUNDING = 1e-3  # of a float; a camera that keeps steps is told apart from one that took another value


Errors: TypeAlias = tuple[type[Exception], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """What a node map raises, and which of it say that the camera did not answer."""

    every: Errors
    silent: Errors


def write_features(
    node_map: Any, features: Sequence[FeatureWrite], *, camera: str, failures: Failures
) -> None:
    """Raises CameraMisconfigured naming camera, feature, value and remedy, or one of `failures.silent`.

    Optional features are left out where the camera has none of that name; one that it has must take its
    value.
    """
    for feature in features:
        place = f"camera {camera}: feature {feature.name} (got {feature.value!r})"
        try:
            node = node_map.get_node(feature.name)
        except failures.every as error:
            if feature.optional:
                continue
            near = difflib.get_close_matches(feature.name, dir(node_map), n=3)
            hint = f"did you mean {' or '.join(near)}? Else " if near else ""
            raise CameraMisconfigured(
                f"{place}: the camera has no feature of that name; {hint}remove it, or set optional: true"
            ) from error
        _write(node, feature, place, failures)


def _write(node: Any, feature: FeatureWrite, place: str, failures: Failures) -> None:
    kind = type(node).__name__
    if kind == "ICommand" and feature.value is None:
        _attempt(node.execute, place, node, failures)
        return
    if kind == "ICategory" or node.get_access_mode() not in (WRITE_ONLY, READ_WRITE):
        is_ = "read-only" if node.get_access_mode() == READ_ONLY else "not available"
        raise CameraMisconfigured(
            f"{place}: it is {is_} as the camera stands; write the features that it depends on before it, or"
            " remove it"
        )
    _check_kind(kind, feature, place)

    def assign() -> None:
        node.value = feature.value

    _attempt(assign, place, node, failures)
    if node.get_access_mode() == READ_WRITE and not _same(node.value, feature.value):
        raise CameraMisconfigured(
            f"{place}: the camera made {node.value!r} of it; write a value that it keeps"
        )


def _check_kind(kind: str, feature: FeatureWrite, place: str) -> None:
    wanted: dict[str, Any] = {
        "IInteger": int,
        "IFloat": (int, float),
        "IBoolean": bool,
        "IEnumeration": str,
        "IString": str,
    }
    name = {
        "IInteger": "a whole number",
        "IFloat": "a number",
        "IBoolean": "true or false",
        "IEnumeration": "one of its names",
        "IString": "text",
    }
    if kind not in wanted:
        remedy = "give it no value" if kind == "ICommand" else "remove it"
        raise CameraMisconfigured(f"{place}: {kind} takes no value from settings; {remedy}")
    is_bool = isinstance(feature.value, bool)
    if not isinstance(feature.value, wanted[kind]) or is_bool != (kind == "IBoolean"):
        raise CameraMisconfigured(f"{place}: it takes {name[kind]}; write the value so")


def _attempt(action: Callable[[], None], place: str, node: Any, failures: Failures) -> None:
    try:
        action()
    except failures.silent:
        raise
    except failures.every as error:
        raise CameraMisconfigured(f"{place}: the camera refused it; {_allowed(node)}") from error


def _allowed(node: Any) -> str:
    if hasattr(node, "symbolics"):
        return f"it takes {', '.join(node.symbolics)}"
    if hasattr(node, "min"):
        steps = node.has_inc() if hasattr(node, "has_inc") else node.inc != 1  # a float need not have any
        return f"it takes {node.min} to {node.max}" + (f" in steps of {node.inc}" if steps else "")
    return "see the camera's manual"


def _same(got: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) or isinstance(got, float):
        return math.isclose(got, wanted, rel_tol=ROUNDING)
    return bool(got == wanted)
