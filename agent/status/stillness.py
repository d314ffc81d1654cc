"""Whether a camera gives one picture again and again: a sensor's noise alone makes two of them differ."""

from __future__ import annotations

from dataclasses import dataclass

EQUAL = 5  # pictures in a row
FOR_S = 1.0  # at least


@dataclass(slots=True)
class Stillness:
    """Of one camera; pictures go by their digest, and one without any says nothing."""

    _sha256: str | None = None
    _count: int = 0
    _since_ns: int = 0
    _last_ns: int = 0

    def saw(self, sha256: str | None, now_ns: int) -> None:
        if sha256 is None:
            return
        if sha256 != self._sha256:
            self._sha256, self._count, self._since_ns = sha256, 0, now_ns
        self._count += 1
        self._last_ns = now_ns

    def frozen_s(self) -> float | None:
        """For how long the picture has been the same; None where it moves."""
        lasted_s = (self._last_ns - self._since_ns) / 1e9
        return lasted_s if self._count >= EQUAL and lasted_s >= FOR_S else None
