"""A shipped graph in INT8: convolutions between QuantizeLinear and DequantizeLinear, all else in float32.

Explicit and symmetric, as TensorRT 11 takes nothing else: int8 weights with a scale for each output channel,
int8 activations with one scale each, biases in float32 (TensorRT refuses an int32 DequantizeLinear). Scales
come from good tiles and the same tiles with synthetic defects. The first convolution of each network, the
last ones and the memories, whose results are small differences, stay in float32.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto

from agent.messages import Pixels

FIRST = "restorer.stem", "features._conv_stem"
LAST = "restorer.detail", "restorer.deviates", "finder.logits"
ONE_CHANNEL = "blur.row", "transpose"  # the map's blur
EXACT = (*FIRST, *LAST, *ONE_CHANNEL, "memories", "codec")


def quantized(model: ModelProto, tiles: Pixels) -> ModelProto:
    """The checked INT8 graph, from a float32 one, with scales from `tiles` (N, H, W, C)."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    chosen = [
        node.name
        for node in model.graph.node
        if node.op_type == "Conv" and not node.input[1].startswith(EXACT)
    ]
    copy = ModelProto()
    copy.CopyFrom(model)  # quantize_static moves the weights of what it is given into a file
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_static(
            copy,
            path,
            _Tiles(tiles),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_quantize=chosen,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
        )
        found = onnx.load(path)
    onnx.checker.check_model(found, full_check=True)
    return found


class _Tiles:
    """The reader that onnxruntime calibrates from."""

    def __init__(self, tiles: Pixels) -> None:
        self._tiles = iter(tiles)

    def get_next(self) -> dict[str, Any] | None:
        tile = next(self._tiles, None)
        return None if tile is None else {"tiles": tile[None]}
