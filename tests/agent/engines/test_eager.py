"""The plain twin pads as the graphs of every bundle say: mirrored, repeated or with zeros."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agent.engines.eager import OPERATORS


@pytest.mark.parametrize(
    ("mode", "like"),
    [(b"reflect", "reflect"), (b"edge", "edge"), (b"constant", "constant"), (None, "constant")],
)
@pytest.mark.parametrize("amounts", [(0, 0, 0, 2, 0, 0, 0, 3), (0, 0, 1, 0, 0, 0, 2, 0)])
def test_padding_is_numpy_s(mode: bytes | None, like: Any, amounts: tuple[float, ...]) -> None:
    x = np.random.default_rng(0).random((2, 1, 5, 6), np.float32)
    attributes = {} if mode is None else {"mode": mode}
    found = OPERATORS["Pad"]([torch.from_numpy(x), amounts], attributes)
    pairs = [(int(before), int(after)) for before, after in zip(amounts[:4], amounts[4:], strict=True)]
    assert np.array_equal(found.numpy(), np.pad(x, pairs, mode=like))
