"""The explaining form of a bundle's graph: the judging one, and the values that it judges by.

    explain/graph.onnx    what follows `model.onnx` in this form: it gives `evidence` and `features` besides
    explain/good.json     what evidence and features are, and how they are on good parts (`Good`)

In Protocol Buffers two messages one after the other are the two merged: `model.onnx` + `explain/graph.onnx`
is the explaining form, and `model.onnx` alone is what judges, the same bytes as without this folder.
It runs in float32 on the CPU, for results that somebody looks at; the line never opens it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.bundle.bundle import Bundle
from agent.engines.engine import largest_difference
from agent.engines.openvino import core_of_process
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.messages import Floats, Pixels

GRAPH, GOOD = "explain/graph.onnx", "explain/good.json"
MAX_GRAPH_BYTES = 1 << 20  # a few nodes and constants
MAX_GOOD_BYTES = 1 << 20
EVIDENCE, FEATURES = "evidence", "features"  # outputs of the explaining form
FEATURES_STRIDE_PX = 8  # tile pixels to a cell of `features`


class CannotExplain(PlumblineError):
    """The bundle has no explaining form, or one that is not as it should be; says what to do."""


class _Part(BaseModel):
    """Fields that a later version has added are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, allow_inf_nan=False)


class Group(_Part):
    """Channels of `features` that belong together: of the input, at one stride of the feature extractor.

    In units of what good parts usually differ by from their restoration, channel by channel.
    """

    name: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    channels: int = Field(ge=1, le=4096)


class Kind(_Part):
    """One kind of evidence, with its weight in the map and its values on good parts."""

    name: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    weight: float
    values: tuple[float, ...] = Field(description="of good parts, in spreads; one for each of `shares`")


class Good(_Part):
    """What evidence and features are, and how they are on good parts."""

    schema_: Literal["plumbline.explain/1"] = Field("plumbline.explain/1", alias="schema")
    kinds: tuple[Kind, ...] = Field(min_length=1, max_length=64, description="of `evidence`, in its order")
    groups: tuple[Group, ...] = Field(max_length=64, description="of `features`, in its order")
    shares: tuple[float, ...] = Field((), description="of all places on good parts that lie below `values`")
    frames: int = Field(0, ge=0, description="good parts that were looked at; 0: nobody had them")

    @model_validator(mode="after")
    def _has_a_value_for_each_share(self) -> Good:
        if list(self.shares) != sorted(self.shares) or not all(0 < one < 1 for one in self.shares):
            raise ValueError("shares must rise, between 0 and 1")
        for kind in self.kinds:
            if len(kind.values) != len(self.shares) or list(kind.values) != sorted(kind.values):
                raise ValueError(f"{kind.name} needs a rising value for each of {len(self.shares)} shares")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What the explaining form says of tiles."""

    scores: Floats  # (N,), as the judging form gives them
    maps: Floats  # (N, h, w)
    evidence: Floats  # (N, kinds, h, w), in spreads above the mean of good parts
    features: Floats  # (N, channels, H / 8, W / 8)


class Form:
    """An opened explaining form; one tile at a time, from one thread."""

    def __init__(self, request: Any, good: Good) -> None:
        self._request = request
        self.good = good

    def explain(self, tiles: Pixels) -> Explained:
        """Of 1 or more tiles, uint8 (N, H, W, C). Raises CannotExplain where it gives what is no number."""
        found = [self._one(tile[None]) for tile in tiles]
        for name in (EVIDENCE, FEATURES):
            if not all(np.isfinite(one[name]).all() for one in found):
                raise CannotExplain(
                    f"{GRAPH}: gives {name} that are no numbers; add it anew with `plumbline-lab explaining`"
                )
        return Explained(
            scores=np.concatenate([one["score"] for one in found]),
            maps=np.concatenate([one["map"] for one in found]),
            evidence=np.concatenate([one[EVIDENCE] for one in found]),
            features=np.concatenate([one[FEATURES] for one in found]),
        )

    def _one(self, tile: Pixels) -> dict[str, Floats]:
        self._request.infer([np.ascontiguousarray(tile)])
        return {
            name: np.array(self._request.get_tensor(name).data)  # the next call overwrites it
            for name in ("score", "map", EVIDENCE, FEATURES)
        }


def explains(bundle: Bundle) -> bool:
    """Whether the bundle has an explaining form at all."""
    return GRAPH in bundle.files and GOOD in bundle.files


def read_good(bundle: Bundle) -> Good:
    """What its evidence is. Raises CannotExplain."""
    if not explains(bundle):
        raise CannotExplain(
            f"bundle {bundle.manifest.name} cannot explain its scores: it was made without {GRAPH}; add it "
            "with `plumbline-lab explaining`"
        )
    data = bundle.files[GOOD]
    if len(data) > MAX_GOOD_BYTES:
        raise CannotExplain(f"{_at(bundle, GOOD)}: {len(data)} bytes, at most {MAX_GOOD_BYTES} are read")
    try:
        return Good.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CannotExplain(
            f"{_at(bundle, GOOD)}: {shown(where[:100])}: {shown(first['msg'][:200])}; add it anew with "
            "`plumbline-lab explaining`"
        ) from error


def graph_of(bundle: Bundle) -> bytes:
    """Its explaining form, which it has, as ONNX. Raises CannotExplain for one too large to be one."""
    graph = bundle.files[GRAPH]
    if len(graph) > MAX_GRAPH_BYTES:
        raise CannotExplain(f"{_at(bundle, GRAPH)}: larger than the {MAX_GRAPH_BYTES} bytes that are read")
    return bundle.model + graph


def open_form(bundle: Bundle, *, threads: int = 1) -> Form:
    """The bundle's explaining form, which gives its golden scores. Raises CannotExplain."""
    good, graph = read_good(bundle), graph_of(bundle)
    spec = bundle.manifest.input
    try:
        model = core_of_process().read_model(graph)
        model.reshape([1, spec.tile_px, spec.tile_px, spec.channels])
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        compiled = core_of_process().compile_model(model, "CPU", options)
        _check_outputs(compiled, bundle, good)
    except RuntimeError as error:
        words = shown(str(error).strip().splitlines()[-1][:200])
        raise CannotExplain(
            f"{_at(bundle, GRAPH)}: {words}; add it anew with `plumbline-lab explaining`"
        ) from error
    return Form(compiled.create_infer_request(), good)


def check_form(bundle: Bundle) -> float:
    """The largest difference from a golden score in this form, as a share. Raises CannotExplain above it."""
    tiles, expected = bundle.golden()
    scores = open_form(bundle).explain(tiles).scores
    difference = largest_difference(scores, expected, bundle.manifest.threshold.raw)
    allowed = bundle.manifest.golden.tolerance_f32
    if not difference <= allowed:
        raise CannotExplain(
            f"{_at(bundle, GRAPH)}: its form scores golden tiles otherwise than the bundle says, by "
            f"a share of {difference:.4f}, allowed {allowed}; add it anew with `plumbline-lab explaining`"
        )
    return difference


def _check_outputs(compiled: Any, bundle: Bundle, good: Good) -> None:
    """Raises CannotExplain where names or shapes are others than `explain/good.json` says."""
    spec, stride = bundle.manifest.input, bundle.manifest.map.stride_px
    cells, grid = spec.tile_px // stride, spec.tile_px // FEATURES_STRIDE_PX
    channels = sum(group.channels for group in good.groups)
    wanted = {
        "score": (1,),
        "map": (1, cells, cells),
        EVIDENCE: (1, len(good.kinds), cells, cells),
        FEATURES: (1, channels, grid, grid),
    }
    found = dict(_outputs(compiled))
    for name, shape in wanted.items():
        if found.get(name) != shape:
            raise CannotExplain(
                f"{_at(bundle, GRAPH)}: gives {shown(name)} as {found.get(name, 'nothing')}, wanted {shape}; "
                "add it anew with `plumbline-lab explaining`"
            )


def _outputs(compiled: Any) -> Iterator[tuple[str, tuple[int, ...]]]:
    for output in compiled.outputs:
        for name in output.get_names():
            yield name, tuple(int(side) for side in output.shape)


def _at(bundle: Bundle, name: str) -> str:
    return f"{shown(str(bundle.path))}/{name}"
