"""What a run of these tests has measured, printed as one table at its end."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers by name, each with the unit it is printed in."""

    _values: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def note(self, name: str, value: float, unit: str = "s") -> None:
        self._values[name, unit].append(value)

    def table(self) -> list[str]:
        """A line for each name: how many there are, the median and the largest."""
        lines = [f"{'measured':44} {'times':>5} {'median':>9} {'largest':>9}"]
        for (name, unit), values in self._values.items():
            ordered = sorted(values)
            median = ordered[len(ordered) // 2]
            lines.append(f"{name:44} {len(ordered):5} {median:9.2f} {ordered[-1]:9.2f} {unit}")
        return lines if self._values else []
