"""What is true of one product, told in its data set's `product.yaml`: no name in the code decides it.

Without the file the defaults hold; `config/product.yaml` repeats them with a comment for each key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.bundle.bundle import InputSpec
from agent.cameras import images
from agent.line.prepare import cut_tiles, scaled, with_channels
from agent.messages import Flags, Pixels
from agent.settings import strict_yaml
from models.data.datasets import DataError, Item, read_image

PRODUCT = "product.yaml"
TEXTURES_KEPT = 256  # evenly spread over the folder: at most some 100 MB in memory
TEXTURE_PX = 320  # the shorter side at most

Mirror = Literal["horizontal", "vertical"]
MIRRORS: tuple[Mirror, ...] = ("horizontal", "vertical")


class Product(BaseModel):
    """How a product's training tiles may be changed, and where on them it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    foreground: Literal["all", "dark", "bright"] = "all"
    mirrors: tuple[Mirror, ...] = MIRRORS
    textures: Path | None = None


def read_product(folder: Path) -> Product:
    """What `product.yaml` in a data set's folder says, with absolute paths; the defaults where it is absent.

    Raises DataError with every problem at once, each as `file:line: key: message (got value)`.
    """
    path = folder / PRODUCT
    if not path.is_file():
        return Product()
    try:
        data, lines = strict_yaml.load(path.read_text(encoding="utf-8"), name=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text: {error}") from error
    except strict_yaml.YamlError as error:
        raise DataError(str(error)) from error
    if not isinstance(data, dict):
        raise DataError(f"{path}:1: holds no keys; start from config/product.yaml, or remove the file")
    try:
        # JSON mode: strict about text against number, yet lists are tuples and text is a path.
        product = Product.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        raise DataError("\n".join(_problem(one, path, lines) for one in error.errors())) from error
    if product.textures is None:
        return product
    textures = folder.resolve() / product.textures
    if not textures.is_dir():
        raise DataError(
            f"{path}:{lines['textures',]}: textures: no such folder; give one of pictures, or null "
            f"(got '{product.textures}')"
        )
    return product.model_copy(update={"textures": textures})


def find_foreground(picture: Pixels, product: Product) -> Flags:
    """Where the product is in a whole picture, (H, W): Otsu's threshold on its greys, holes filled."""
    if product.foreground == "all":
        return np.ones(picture.shape[:2], np.bool_)
    kind = cv2.THRESH_BINARY if product.foreground == "bright" else cv2.THRESH_BINARY_INV
    _, mask = cv2.threshold(with_channels(picture, 1), 0, 1, kind + cv2.THRESH_OTSU)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(mask, outlines, -1, 1, cv2.FILLED) > 0, np.bool_)


def load_parts(items: Iterable[Item], spec: InputSpec, product: Product) -> tuple[Pixels, Flags]:
    """What `load_tiles` cuts, and where the product is on each tile, (N, tile, tile). Raises DataError."""
    tiles, places = [], []
    for item in items:
        picture = scaled(read_image(item.image, spec.channels), spec)
        found = find_foreground(picture, product)
        tiles.append(cut_tiles(picture, spec)[0])
        places.append(cut_tiles(found[..., None].astype(np.uint8), spec)[0][..., 0] > 0)
    return np.concatenate(tiles), np.concatenate(places)


def load_textures(product: Product, channels: int) -> tuple[Pixels, ...]:
    """Pictures of the texture folder and those below it, shrunk; none where the product names no folder.

    Raises DataError for an unreadable picture or a folder without any.
    """
    if product.textures is None:
        return ()
    files = sorted(file for file in product.textures.rglob("*") if file.suffix.lower() in images.SUFFIXES)
    if not files:
        raise DataError(f"{product.textures}: holds no pictures; put textures there, or set textures to null")
    chosen = files[:: -(-len(files) // TEXTURES_KEPT)]
    return tuple(_shrunk(read_image(file, channels)) for file in chosen)


def _shrunk(picture: Pixels) -> Pixels:
    height, width, channels = picture.shape
    scale = TEXTURE_PX / min(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8).reshape(size[1], size[0], channels)


def _problem(problem: Any, path: Path, lines: dict[strict_yaml.Path, int]) -> str:
    keys = problem["loc"]
    line = next((lines[keys[:end]] for end in range(len(keys), -1, -1) if keys[:end] in lines), 1)
    unknown = problem["type"] == "extra_forbidden"
    message = "unknown key; see config/product.yaml for the keys there are" if unknown else problem["msg"]
    value = problem["input"]
    got = "" if isinstance(value, dict | list) else f" (got {'nothing' if value is None else repr(value)})"
    return f"{path}:{line}: {'.'.join(map(str, keys))}: {message}{got}"
