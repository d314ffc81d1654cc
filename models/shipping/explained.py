"""A bundle's explaining form, and how its evidence is on good parts: what `explain/` in a bundle is made of.

explain/graph.onnx    `models/shipping/explaining.py`
explain/good.json     `Good`: of held-back good parts, which values of each kind how many places stay below
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from agent.bundle.bundle import (
    BUNDLE_TYPE,
    Bundle,
    manifest_bytes,
    open_bundle,
    refuse_existing,
    with_digests,
    write_bundle,
)
from agent.explain.form import GOOD, GRAPH, Good, check_form, open_form
from agent.line.prepare import cut_tiles, scaled
from agent.messages import Floats
from agent.trust.private_keys import load_private_key
from models import signing
from models.data.datasets import Item, read_image
from models.data.held import good_items
from models.shipping.explaining import NotExplainable, following, good_of
from models.shipping.lint import lint
from models.stages import SILENT, Stages

SHARES = (0.5, 0.9, 0.99, 0.999, 0.9999)
MOST_FRAMES = 120  # a place in 10,000 is then told from some dozens of places, at 4,000 places a frame
DIGITS = 4  # of a value in spreads: machines differ in the last ones of float32


def add_explanation(
    source: Path,
    out: Path,
    *,
    data: Sequence[Path] = (),
    counter: int | None = None,
    key: Path | None = None,
    stages: Stages = SILENT,
) -> Bundle:
    """The bundle `source` with an explaining form as the new bundle `out`; all else stays, byte for byte.

    `data` is what it was exported with; without it evidence has spreads and no shares of good parts. The
    counter grows by one when none is given. Raises BundleError, DataError, NotExplainable, CannotExplain.
    """
    refuse_existing(out)
    bundle = open_bundle(source)
    held = good_items(data)[1] if data else []
    files = {name: bundle.files[name] for name in bundle.manifest.files}
    files |= explanation(bundle, held, stages)
    counter = bundle.manifest.counter + 1 if counter is None else counter
    manifest = with_digests(bundle.manifest.model_copy(update={"counter": counter}), files)
    signature = None
    if key is not None:
        signature = signing.sign(manifest_bytes(manifest), BUNDLE_TYPE, load_private_key(key))
    write_bundle(out, manifest, files, signature)
    return open_bundle(out)


def explanation(bundle: Bundle, held: Sequence[Item], stages: Stages = SILENT) -> dict[str, bytes]:
    """The files of the bundle's explaining form, which gives its golden scores.

    Raises NotExplainable for a graph that is no student's, CannotExplain where scores differ.
    """
    model = onnx.load_from_string(bundle.model)
    graph, good = following(model), good_of(model)
    if problems := lint(onnx.load_from_string(bundle.model + graph)):
        raise NotExplainable(f"the explaining form breaks rules of the box: {'; '.join(problems)}")
    plain = replace(bundle, files={**bundle.files, GRAPH: graph, GOOD: _json(good)})
    check_form(plain)
    return {GRAPH: graph, GOOD: _json(_measured(plain, good, held, stages) if held else good)}


def _measured(bundle: Bundle, good: Good, held: Sequence[Item], stages: Stages) -> Good:
    """With the values of each kind on held-back good parts."""
    form = open_form(bundle)
    spec, stride = bundle.manifest.input, bundle.manifest.map.stride_px
    chosen = held[:: -(-len(held) // MOST_FRAMES)]
    places: list[Floats] = []  # (kinds, n)
    for item in stages.over(chosen, "explaining held-back good parts"):
        picture = scaled(read_image(item.image, spec.channels), spec)
        tiles, origins = cut_tiles(picture, spec)
        for one, (x, y) in zip(form.explain(tiles).evidence, origins, strict=True):
            inside = one[:, : -(-(picture.shape[0] - y) // stride), : -(-(picture.shape[1] - x) // stride)]
            places.append(inside.reshape(len(inside), -1))
    values = np.quantile(np.concatenate(places, axis=1), SHARES, axis=1).round(DIGITS)
    kinds = tuple(
        kind.model_copy(update={"values": tuple(map(float, of_kind))})
        for kind, of_kind in zip(good.kinds, values.T, strict=True)
    )
    return good.model_copy(update={"kinds": kinds, "shares": SHARES, "frames": len(chosen)})


def _json(good: Good) -> bytes:
    return (good.model_dump_json(by_alias=True, indent=1) + "\n").encode()
