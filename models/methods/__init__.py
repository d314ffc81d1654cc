"""One file per published method. METHODS is the whole list."""

from __future__ import annotations

from types import ModuleType

from models.methods import decodiff, diffusionad

METHODS: dict[str, ModuleType] = {"decodiff": decodiff, "diffusionad": diffusionad}
