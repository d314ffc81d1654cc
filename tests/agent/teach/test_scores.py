"""Light by the side of the middle picture, in half stops."""

from __future__ import annotations

from agent.teach.scores import lights_of


def test_light_is_told_beside_the_middle_in_half_stops() -> None:
    assert lights_of([100, 101, 99]) == ["", "", ""], "all alike"
    assert lights_of([100, 100, 100, 200, 71]) == [
        *3 * ["usual light"],
        "light +1.0 stops",
        "light -0.5 stops",
    ]
    assert lights_of([]) == []
    assert lights_of([0, 0, 0]) == ["", "", ""], "black is no error"
