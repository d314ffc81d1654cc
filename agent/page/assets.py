"""The files of the page: its shell, what all views share, and one module for each view."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

STATIC = Path(__file__).parent / "static"
SHARED = ("page", "dom", "words", "stream", "entry", "pictures")
OF_VIEWS = ("live", "rejects", "result", "trends", "cameras", "uplink", "model", "teach", "doctor")
OF_SOME_VIEWS = (
    "act",
    "charts",
    "commands",
    "evidence",
    "histogram",
    "marks",
    "pace",
    "proofs",
    "threshold",
    "viewer",
)
SCRIPT = "text/javascript"

ASSETS: Mapping[str, tuple[str, str]] = {  # by address: the file below STATIC, its media type
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
    **{f"/{name}.js": (f"{name}.js", SCRIPT) for name in SHARED},
    **{f"/{name}.js": (f"{name}.js", SCRIPT) for name in OF_SOME_VIEWS},
    **{f"/views/{name}.js": (f"views/{name}.js", SCRIPT) for name in OF_VIEWS},
}
FIRST_VIEW = ("/", "/page.css", "/favicon.svg", *(f"/{name}.js" for name in SHARED), "/views/live.js")
