"""A verdict is its own contract: it fits its schema, survives the wire, and stays under 8 KiB."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.contract.chain import MEMBER_BYTES
from agent.contract.payloads import encode
from agent.contract.verdict import (
    EVALUATION,
    CropRef,
    DefectMessage,
    FrameMessage,
    ModelMessage,
    ScoreMessage,
    SettingsMessage,
    TimingMessage,
    Verdict,
)
from agent.line.record import MAX_DEFECTS, MAX_DETAIL, within

SCHEMA = Verdict.model_json_schema(by_alias=True)
MAX_BYTES = 8192

# The published example, field for field.
EXAMPLE = """
{"schema":"plumbline.verdict/1","result_id":"019aa9c4-2f54-7c3a-9f0e-4f2b8a6d1c55","sequence":184223,
 "boot_id":"019aa9b0-0000-7000-8000-000000000000","station":"cell3-cam1","camera":"top",
 "created":"2026-11-22T07:15:03.412Z","clock_synced":true,
 "verdict":"fail","result_evaluation":"NotOK","result_evaluation_code":2,"reason":null,"is_partial":false,
 "is_simulated":false,"replayed":false,
 "part_id":null,"job_id":null,"recipe_id":"default","roll_id":null,
 "score":{"raw":0.0371,"threshold":0.0310,"normalized":119.7},
 "defects":[{"index":0,"label":null,"score":0.044,"bbox_px":[412,88,30,22],"area_px":412,
             "centroid_mm":[123.4,8120.7],"area_mm2":1.03,
             "crop":{"crop_id":"019aa9c4-2f55","sha256":"ab12","bytes":18231}}],
 "frame":{"id":99172,"first_line":12693504,"lines":512,"lines_lost":0,"encoder":882211,"sha256":"cd34"},
 "timing_ms":{"capture_to_prepared":1.9,"queued":0.4,"infer":11.2,"judge":0.3,"capture_to_recorded":15.0},
 "model":{"bundle":"cells","sha256":"ef56","engine":"openvino-bf16"},"settings":{"version":12,"sha256":"0a1b"}}
"""


def longest() -> Verdict:
    """A verdict whose every field is as long as the agent ever makes it."""
    big = 2**63 - 1
    return Verdict(
        result_id="f" * 36,
        sequence=big,
        boot_id="f" * 36,
        station="s" * 64,
        camera="c" * 64,
        created="2026-11-22T07:15:03.412Z",
        clock_synced=False,
        verdict="undecided",
        result_evaluation="NotDecidable",
        result_evaluation_code=3,
        reason="r" * 32,
        is_partial=False,
        is_simulated=False,
        part_id="p" * 255,
        bind_id="0193586b-3f14-7c3e-9a55-6b1d2f0a7c11",
        roll_id="r" * 90,
        continued_from_line=big,
        score=ScoreMessage(raw=1.1754943508222875e-38, threshold=1 / 3, normalized=1e8 / 3),
        defects=tuple(
            DefectMessage(
                index=index,
                score=1.1754943508222875e-38,
                bbox_px=(65_535, 65_535, 65_535, 65_535),
                bbox_web=(65_535, big, 65_535, 16 * 65_536),
                area_px=65_535**2,
                centroid_mm=(123456.789, 123456789012.345),  # both are rounded to the micrometre
                area_mm2=123456789.012345,
                crop=CropRef(crop_id="f" * 36, sha256="f" * 64, bytes=10_000_000),
            )
            for index in range(MAX_DEFECTS)
        ),
        frame=FrameMessage(
            id=big, first_line=big, lines=65_536, lines_lost=65_536, encoder=-big, sha256="f" * 64
        ),
        timing_ms=TimingMessage(
            capture_to_prepared=123456.789,
            queued=123456.789,
            infer=123456.789,
            judge=123456.789,
            capture_to_recorded=123456.789,
        ),
        model=ModelMessage(bundle="b" * 64, sha256="f" * 64, engine="e" * 32),
        settings=SettingsMessage(version=big, sha256="f" * 64),
    )


def keys_of(tree: Any) -> Any:
    """The tree with every value left out."""
    if isinstance(tree, dict):
        return {key: keys_of(value) for key, value in tree.items()}
    return [keys_of(value) for value in tree] if isinstance(tree, list) else None


def test_the_published_example_is_a_verdict_and_all_its_names_are_sent() -> None:
    example = json.loads(EXAMPLE)
    sent = json.loads(encode(Verdict.model_validate_json(EXAMPLE)))
    assert sent.pop("detail", "absent") is None
    assert sent.pop("continued_from_line", "absent") is None
    assert sent.pop("bind_id", "absent") is None
    assert sent["frame"].pop("epoch", "absent") == 0
    assert sent["defects"][0].pop("bbox_web", "absent") is None
    assert sent["model"].pop("provisional_rate", "absent") is None
    assert sent["model"].pop("labels_sha256", "absent") is None
    assert sent["timing_ms"].pop("label", "absent") is None
    assert sent == example
    assert keys_of(sent) == keys_of(example)


@pytest.mark.parametrize("text", [EXAMPLE, encode(longest()).decode()])
def test_a_verdict_fits_its_own_schema(text: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(text), SCHEMA)


def test_a_verdict_is_the_same_after_the_wire() -> None:
    for verdict in (longest(), Verdict.model_validate_json(EXAMPLE)):
        assert Verdict.model_validate_json(encode(verdict)) == verdict


def test_the_longest_verdict_stays_under_8_kib() -> None:
    found = longest()
    assert len(encode(within(found))) + MEMBER_BYTES < MAX_BYTES
    less = found.model_copy(update={"defects": found.defects[:-1]})
    assert within(less) is less, "only a verdict of as many defects as may be has to be looked at"


@pytest.mark.parametrize("label", ["x" * 48, "\N{CJK UNIFIED IDEOGRAPH-8A9E}" * 48])
def test_with_the_longest_labels_it_names_as_many_defects_as_stay_under_8_kib(label: str) -> None:
    labelled = [
        one.model_copy(update={"label": label, "label_certainty": 0.9876}) for one in longest().defects
    ]
    found = within(longest().model_copy(update={"defects": tuple(labelled)}))
    assert len(encode(found)) < MAX_BYTES and 8 < len(found.defects) < MAX_DEFECTS
    assert found.defects == tuple(labelled[: len(found.defects)])


def test_a_defect_that_nobody_named_is_as_short_as_before() -> None:
    plain = longest().defects[0]
    sent = json.loads(encode(longest()))["defects"][0]
    assert sent["label"] is None and {"label_certainty", "label_reason"}.isdisjoint(sent)
    late = json.loads(plain.model_copy(update={"label_reason": "late"}).model_dump_json())
    assert late["label_reason"] == "late"


def test_a_long_detail_without_defects_stays_under_8_kib() -> None:
    for character in ("\x01", "\N{PILE OF POO}", '"'):
        wordy = longest().model_copy(update={"defects": (), "detail": character * MAX_DETAIL})
        assert len(encode(wordy)) < MAX_BYTES


def test_what_is_not_decided_is_never_ok() -> None:
    assert EVALUATION["pass"] == ("OK", 1)
    assert [EVALUATION[name] for name in ("fail", "undecided", "skipped")] == [
        ("NotOK", 2),
        ("NotDecidable", 3),
        ("Undefined", 0),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "maybe"},
        {"sequence": 0},
        {"result_evaluation": "Fine"},
        {"invented": 1},
        {"detail": "x" * (MAX_DETAIL + 1)},
        {"schema": "plumbline.verdict/2"},
    ],
)
def test_a_verdict_outside_the_contract_cannot_be_made(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Verdict.model_validate({**json.loads(EXAMPLE), **change})


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 2**63 - 1), st.text(max_size=50))
def test_numbers_and_words_survive_the_wire(number: float, count: int, words: str) -> None:
    score = ScoreMessage(raw=number, threshold=1.0, normalized=number)
    verdict = longest().model_copy(update={"score": score, "part_id": words, "sequence": count + 1})
    assert Verdict.model_validate_json(encode(verdict)) == verdict
