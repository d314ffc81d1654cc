"""What the page shows things of: the parts of a station, as far as somebody may look at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from agent.page.shown import Shown
from agent.status.board import Board
from agent.status.metrics import Metrics

Query: TypeAlias = Mapping[str, str]  # what stands behind the ? of an address
Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What a station has besides its board; None where its settings leave that out."""

    proofs: Path | None = None  # the folder of the last bundles' proofs


NOTHING = Behind()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """All that views and events are made from."""

    board: Board
    metrics: Metrics
    shown: Shown
    behind: Behind = NOTHING
