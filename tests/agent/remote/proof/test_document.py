"""What the other process says is believed only as far as it has the form of a proof."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.remote.proof.document import Refused, Step, line_of, said


@pytest.mark.parametrize(
    "what", [Step(step="frames", done=3, of=8), Refused(code=422, message="golden scores differ")]
)
def test_what_is_said_is_heard(what: Step | Refused) -> None:
    assert said(line_of(what)) == what


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_anything_else_is_no_proof_and_nothing_worse(line: bytes) -> None:
    with suppress(ValueError):
        said(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b'{"kind": "step"}',
        b'{"kind": "step", "step": "frames", "done": -1}',
        b'{"kind": "step", "step": "frames", "done": "3"}',
        b'{"kind": "step", "step": "frames", "more": 1}',
        b'{"kind": "refused", "code": 200, "message": "all is well"}',
        b'{"kind": "refused", "code": NaN, "message": ""}',
        b'{"kind": "found", "found": {"schema": "plumbline.proof/2"}}',
        b"[" * 10_000,
    ],
)
def test_a_line_of_another_form_is_no_proof(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a line of a proof"):
        said(line)
