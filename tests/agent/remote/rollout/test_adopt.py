"""A bundle made at the station goes the way of any other: taken, proven, on probation, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.remote.depots import content, served
from tests.agent.remote.rollouts import Rig, asked, desired, digest, signed


def test_it_is_proven_stands_its_probation_and_the_one_before_is_previous(
    rig: Rig, there: dict[int, Path]
) -> None:
    said = asked(rig, lambda: rig.updater.adopt(there[3], digest(there[3])))
    assert said.code == 202 and said.transaction is not None
    rig.until_state("probation")
    assert rig.prove.proven[-1] == 3 and rig.stage.serves == digest(there[3])
    rig.ended()
    assert served(rig.depot.folder) == (3, 2)
    standing = rig.updater.standing(said.transaction)
    assert standing is not None and (standing.state, standing.is_over) == ("applied", True)


def test_it_is_not_held_against_what_a_bundle_of_other_parts_says(rig: Rig, there: dict[int, Path]) -> None:
    """The bundle before passed all of them; this one was taught what is wrong with some."""
    asked(rig, lambda: rig.updater.adopt(there[3], digest(there[3])))
    rig.until_state("probation")
    assert rig.prove.beside[-1] is None
    rig.verdicts(40, is_reject=True, score=180.0)
    rig.until(lambda: rig.record.state == "idle")
    assert served(rig.depot.folder) == (3, 2)


def test_it_goes_back_where_it_only_makes_errors(rig: Rig, there: dict[int, Path]) -> None:
    asked(rig, lambda: rig.updater.adopt(there[3], digest(there[3])))
    rig.until_state("probation")
    rig.verdicts(40, is_error=True, score=None)
    rig.until(lambda: rig.stage.serves == digest(there[2]))
    rig.verdicts(5)
    rig.until(lambda: rig.record.state == "idle")
    assert served(rig.depot.folder)[0] == 2


def test_a_bundle_that_was_sent_is_held_against_the_one_that_serves(rig: Rig, there: dict[int, Path]) -> None:
    rig.offer(signed(desired(there[3], 5)))
    rig.until_state("probation")
    assert rig.prove.beside[-1] == rig.depot.path_of(digest(there[2]))


@pytest.mark.parametrize("issuer", ["station", "hand"])
def test_whoever_calls_itself_the_station_in_a_document_is_held_against_the_one_that_serves_too(
    rig: Rig, there: dict[int, Path], issuer: str
) -> None:
    rig.offer(signed(desired(there[3], 5, issuer=issuer)))
    rig.until_state("probation")
    assert rig.prove.beside[-1] == rig.depot.path_of(digest(there[2]))
    rig.verdicts(40, is_reject=True, score=180.0)
    rig.until(lambda: rig.stage.serves == digest(there[2]))


def test_what_its_proof_refuses_does_not_serve_and_may_be_tried_again(
    rig: Rig, there: dict[int, Path]
) -> None:
    rig.prove.refused = {3}
    said = asked(rig, lambda: rig.updater.adopt(there[3], digest(there[3])))
    rig.until(lambda: rig.record.state == "idle")
    standing = rig.updater.standing(said.transaction or "")
    assert standing is not None and "9 flips" in standing.message
    assert served(rig.depot.folder) == (2, 1) and rig.stage.history == []
    rig.prove.refused = set()  # other limits of the proof
    assert asked(rig, lambda: rig.updater.adopt(there[3], digest(there[3]))).code == 202
    assert served(rig.ended().depot.folder) == (3, 2)


def test_what_is_no_bundle_begins_nothing(rig: Rig, there: dict[int, Path], tmp_path: Path) -> None:
    before = content(rig.depot.folder)
    said = asked(rig, lambda: rig.updater.adopt(tmp_path / "nowhere", digest(there[3])))
    assert (said.state, said.code, "nowhere" in said.message) == ("rejected", 422, True)
    assert content(rig.depot.folder) == before


def test_another_bundle_in_the_place_of_the_one_that_was_made_begins_nothing(
    rig: Rig, there: dict[int, Path]
) -> None:
    before = content(rig.depot.folder)
    said = asked(rig, lambda: rig.updater.adopt(there[3], digest(there[1])))
    assert (said.state, said.code) == ("rejected", 422)
    assert digest(there[3])[:12] in said.message and digest(there[1])[:12] in said.message
    assert content(rig.depot.folder) == before and rig.stage.serves == digest(there[2])


def test_it_does_not_come_beside_another_that_is_under_way(rig: Rig, there: dict[int, Path]) -> None:
    rig.fetch.waits = True
    assert rig.offer(signed(desired(there[3], 5))).code == 202
    rig.until_state("downloading")
    said = asked(rig, lambda: rig.updater.adopt(there[3], digest(there[3])))
    assert (said.code, "wait for its end" in said.message) == (429, True)
    rig.fetch.waits = False
    assert served(rig.ended().depot.folder) == (3, 2)
