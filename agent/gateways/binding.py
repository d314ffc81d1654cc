"""What a gateway does with a part or an order that the field writes: it is bound as by command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from agent.contract.arguments import Bind

Binder: TypeAlias = Callable[[Bind, int], Sequence[str]]
"""From that moment of the monotonic clock on, for which cameras. May raise a PlumblineError."""
