"""What the workshop exports is what the student was, on every engine, and nothing else passes for it."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from torch import nn
from typer.testing import CliRunner

from agent.bundle.bundle import GOLDEN_SCORES, MANIFEST, MODEL, Bundle, BundleError, open_bundle, write_bundle
from agent.bundle.bundle import with_digests as digested
from agent.cli.exit_codes import NotGood
from agent.cli.main import app as device
from agent.engines.engine import Engine, EngineError, golden_difference, largest_difference, tolerance
from agent.engines.open import open_engine
from agent.messages import Pixels
from agent.settings import settings
from models.cli.main import app as lab
from models.data.datasets import load_items
from models.data.held import good_shares
from models.data.threshold import calibrate
from models.judging.evaluate import by_engine, by_student
from models.judging.nearby import nearby_scores
from models.judging.standing import UNSEEN, standing
from models.shipping.export import ExportError, WorseError, folded, frame_scores, golden_tiles, shipped
from models.student.distill import load_student
from models.student.student import Student
from models.training.train import WEIGHTS
from tests.models.workshop import (
    Workshop,
    export_command,
    public_pem,
    run,
)

# The exporter's own dependencies warn of their future, which is theirs.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def eager(bundle: Bundle) -> Engine:
    return open_engine(bundle, settings.Engine(kind="eager"))


@pytest.fixture(scope="module")
def openvino(bundle: Bundle) -> Engine:
    return open_engine(bundle, settings.Engine(kind="openvino", precision="f32"))


@pytest.fixture
def known(made: Workshop, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the student that was exported, graph and standing are known: they take most of an export."""
    _, student = load_student(made.student)
    weights = shipped(student).state_dict()

    def graph(other: Student, _: object) -> bytes:
        assert all(torch.equal(one, weights[name]) for name, one in other.state_dict().items())
        return bundle.files[MODEL]

    monkeypatch.setattr("models.shipping.export.to_onnx", graph)
    monkeypatch.setattr("models.shipping.export.build", lambda *_, **__: SimpleNamespace(yardstick=None))
    monkeypatch.setattr("models.shipping.export.on_unseen", lambda *_: bundle.manifest.standing)


@pytest.fixture(scope="module")
def tiles(bundle: Bundle) -> Pixels:
    """Four tiles that are not the golden ones."""
    return golden_tiles(bundle.manifest.input, seed=9)[:4]


def test_the_bundle_says_what_it_is_and_where_it_came_from(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert (manifest.name, manifest.licence, manifest.counter) == ("tiny", "CC0-1.0", 1)
    assert (manifest.input.tile_px, manifest.input.channels, manifest.input.scale) == (64, 1, 0.8)
    assert (manifest.provenance.method, manifest.provenance.preset) == ("decodiff", "nano")
    assert manifest.provenance.data == manifest.threshold.source.split(":")[0] == "tiny"
    assert manifest.threshold.good_frames == 5  # of six that are held back, one gives statistics
    assert manifest.threshold.interval[0] <= manifest.threshold.raw <= manifest.threshold.interval[1]


def test_the_device_verifies_it(made: Workshop) -> None:
    result = run(device, "bundle", "verify", made.bundle, "--key", made.public)
    assert result.exit_code == 0, result.output
    assert "signature: by the trusted key" in result.output
    assert "golden scores: openvino-f32" in result.output


def test_the_device_refuses_another_key(made: Workshop, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_bytes(public_pem(Ed25519PrivateKey.generate()))
    with pytest.raises(NotGood, match="not by the trusted key"):
        run(device, "bundle", "verify", made.bundle, "--key", tmp_path / "other.pem")


def test_every_engine_gives_the_golden_scores(bundle: Bundle, eager: Engine, openvino: Engine) -> None:
    for engine in (eager, openvino):
        assert golden_difference(engine, bundle) <= bundle.manifest.golden.tolerance_f32


def test_eager_and_openvino_agree_on_tiles_that_are_not_golden(
    eager: Engine, openvino: Engine, tiles: Pixels
) -> None:
    plain, fast = eager.run(tiles), openvino.run(tiles)
    assert np.allclose(plain.scores, fast.scores, rtol=1e-3)
    assert np.allclose(plain.maps, fast.maps, rtol=1e-3, atol=1e-3 * float(plain.maps.max()))
    assert np.abs(plain.restored.astype(int) - fast.restored.astype(int)).max() <= 1


def test_the_student_before_export_agrees_with_the_engines(
    made: Workshop, openvino: Engine, tiles: Pixels
) -> None:
    student = shipped(load_student(made.student)[1])
    with torch.no_grad():
        scores, maps, _ = student(torch.from_numpy(tiles))
    found = openvino.run(tiles)
    assert np.allclose(scores.numpy(), found.scores, rtol=1e-3)
    assert np.allclose(maps.numpy(), found.maps, rtol=1e-3, atol=1e-3 * float(maps.max()))


def test_features_of_grey_tiles_ship_in_one_channel_and_see_the_same(made: Workshop, tiles: Pixels) -> None:
    _, student = load_student(made.student)
    plain = shipped(student)
    assert (student.features.channels, plain.features.channels) == (3, 1)
    (scores, maps, _), wanted = (one(torch.from_numpy(tiles)) for one in (plain, student))
    assert torch.allclose(scores, wanted[0], rtol=0.01)  # kernels are rounded, too
    assert torch.allclose(maps, wanted[1], rtol=0.01, atol=0.01 * float(maps.max()))


def test_what_is_exported_judges_as_the_student_without_a_batch_norm(made: Workshop, tiles: Pixels) -> None:
    _, student = load_student(made.student)
    before = copy.deepcopy(student.state_dict())
    plain = folded(student)
    assert not any(isinstance(one, nn.BatchNorm2d) for one in plain.modules())
    (scores, maps, restored), wanted = (one(torch.from_numpy(tiles)) for one in (plain, student))
    assert torch.allclose(scores, wanted[0], rtol=1e-4) and torch.allclose(maps, wanted[1], rtol=1e-3)
    assert (restored.int() - wanted[2].int()).abs().max() <= 1  # a rounding apart
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


def test_bf16_gives_the_golden_scores_within_its_own_tolerance(bundle: Bundle) -> None:
    engine = open_engine(bundle, settings.Engine(kind="openvino", precision="auto"))
    if engine.describe().precision != "bf16":
        pytest.skip("this CPU has no bf16")
    assert golden_difference(engine, bundle) <= bundle.manifest.golden.tolerance_bf16


def test_a_threshold_is_that_of_held_back_parts_in_every_state(made: Workshop, bundle: Bundle) -> None:
    student = shipped(load_student(made.student)[1])
    held = good_shares([made.data]).threshold
    scores = nearby_scores(held, by_student(student), bundle.manifest.input)
    found = bundle.manifest.threshold
    wanted = calibrate(scores.max(1), target=found.target_false_reject_rate, source=found.source)
    assert found.raw == pytest.approx(wanted.raw, rel=1e-5)
    as_they_are = calibrate(scores[:, 0], target=found.target_false_reject_rate, source=found.source)
    assert found.raw > as_they_are.raw
    assert "moved by 2 px" in found.source


def test_every_engine_scores_good_frames_near_the_threshold_as_the_student_does(
    made: Workshop, bundle: Bundle, eager: Engine, openvino: Engine
) -> None:
    student = shipped(load_student(made.student)[1])
    good = [item for item in load_items(made.data) if item.split == "test" and item.is_good]
    threshold, spec = bundle.manifest.threshold.raw, bundle.manifest.input
    expected = frame_scores(good, by_student(student), spec)
    assert 0.2 * threshold < expected.min() < 2 * threshold
    for engine in (eager, openvino, open_engine(bundle, settings.Engine())):
        found = frame_scores(good, by_engine(engine), spec)
        assert largest_difference(found, expected, threshold) <= tolerance(engine, bundle)


@pytest.mark.parametrize("kind", ["eager", "openvino"])
def test_four_tiles_at_once_are_judged_as_one_by_one(
    request: pytest.FixtureRequest, kind: str, tiles: Pixels
) -> None:
    engine: Engine = request.getfixturevalue(kind)
    together = engine.run(tiles)
    alone = [engine.run(tile[None]) for tile in tiles]
    assert np.allclose(together.scores, [one.scores[0] for one in alone], rtol=1e-3)
    assert np.allclose(
        together.maps, [one.maps[0] for one in alone], rtol=1e-3, atol=1e-3 * float(together.maps.max())
    )
    difference = together.restored.astype(int) - np.stack([one.restored[0] for one in alone])
    assert np.abs(difference).max() <= 1


def test_a_damaged_golden_score_is_refused_by_every_engine(bundle: Bundle, tmp_path: Path) -> None:
    scores = bundle.golden()[1].copy()
    scores[0] *= np.float32(1.5)
    buffer = io.BytesIO()
    np.save(buffer, scores)
    files = {name: data for name, data in bundle.files.items() if name in bundle.manifest.files}
    for name in (GOLDEN_SCORES, *(one.scores for one in (bundle.manifest.variants or {}).values())):
        files[name] = buffer.getvalue()
    write_bundle(tmp_path / "damaged", digested(bundle.manifest, files), files, None)
    damaged = open_bundle(tmp_path / "damaged")
    for wanted in (settings.Engine(kind="eager"), settings.Engine(kind="openvino"), settings.Engine()):
        with pytest.raises(EngineError, match="golden scores"):
            open_engine(damaged, wanted)


def change_model(folder: Path) -> None:
    data = bytearray((folder / MODEL).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / MODEL).write_bytes(data)


def add_file(folder: Path) -> None:
    (folder / "extra.bin").write_bytes(b"extra")


def change_threshold(folder: Path) -> None:
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace("counter: 1", "counter: 2"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_model, r"model.onnx: digest"),
        (add_file, "extra.bin: not listed"),
        (change_threshold, "another file"),
    ],
)
def test_a_bundle_that_was_changed_is_refused_by_the_device(
    made: Workshop, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made.bundle, copy)
    change(copy)
    with pytest.raises(NotGood, match=message):
        run(device, "bundle", "verify", copy, "--key", made.public)


def test_a_plumb_file_is_the_same_bundle(made: Workshop, bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "tiny.plumb"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(made.bundle.rglob("*")):
            archive.write(file, file.relative_to(made.bundle))
    assert open_bundle(path).sha256 == bundle.sha256
    assert run(device, "bundle", "verify", path, "--key", made.public).exit_code == 0


def test_an_existing_bundle_is_never_exported_over(made: Workshop) -> None:
    before = open_bundle(made.bundle).sha256
    with pytest.raises(BundleError, match="is there already"):
        run(lab, *export_command(made, made.bundle))
    assert open_bundle(made.bundle).sha256 == before


@pytest.mark.usefixtures("known")
def test_too_few_good_frames_for_the_target_make_a_provisional_threshold(
    made: Workshop, tmp_path: Path
) -> None:
    command = export_command(made, tmp_path / "bundle")
    asked = command.index("--target")
    del command[asked : asked + 2]
    assert (
        "provisional: with 5 good frames it promises a false-reject rate of 16.7%"
        in run(lab, *command).output
    )
    threshold = open_bundle(tmp_path / "bundle").manifest.threshold
    assert threshold.provisional_rate == pytest.approx(1 / 6)
    assert "provisional: with 5 good frames" in run(device, "bundle", "info", tmp_path / "bundle").output
    picture = next((made.data / "test/good").iterdir())
    told = CliRunner().invoke(device, ["inspect", str(picture), "--bundle", str(tmp_path / "bundle")])
    assert "threshold is provisional" in told.stderr


def test_the_manifest_tells_how_the_student_ranks_beside_a_memory_of_good_parts(
    made: Workshop, bundle: Bundle
) -> None:
    standing = bundle.manifest.standing
    assert standing is not None
    assert standing.source == UNSEEN
    assert standing.good == 6
    assert standing.defective >= 40  # now and then nothing shows
    assert standing.difference[0] <= standing.model_auroc - standing.yardstick_auroc <= standing.difference[1]
    told = run(device, "bundle", "info", made.bundle, "--json")
    assert json.loads(told.output)["standing"]["yardstick_auroc"] == standing.yardstick_auroc


@pytest.mark.slow
@pytest.mark.usefixtures("known")
def test_a_student_that_a_plain_memory_outranks_is_refused_unless_that_is_accepted(
    made: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.arange(40) >= 20
    worse = standing(labels, -np.arange(40, dtype=np.float32), np.arange(40, dtype=np.float32), (32,), UNSEEN)
    monkeypatch.setattr("models.shipping.export.on_unseen", lambda *_: worse)
    command = export_command(made, tmp_path / "bundle")
    with pytest.raises(WorseError, match=r"the student ranks worse than a plain memory .* --accept-worse"):
        run(lab, *(one for one in command if one != "--accept-worse"))
    assert not (tmp_path / "bundle").exists()
    output = run(lab, *command).output
    assert f"{tmp_path / 'bundle'}: ranks worse than a plain memory of good parts" in output
    assert open_bundle(tmp_path / "bundle").manifest.standing == worse


@pytest.mark.slow
@pytest.mark.usefixtures("known")
def test_a_student_whose_good_frames_bf16_scores_otherwise_is_not_exported(
    made: Workshop, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if open_engine(bundle, settings.Engine()).describe().precision != "bf16":
        pytest.skip("this CPU has no bf16")

    def strict(engine: Engine, bundle: Bundle) -> float:
        """How far bf16 is off depends on the weights, which depend on the number of threads."""
        return 1e-6 if engine.describe().precision == "bf16" else tolerance(engine, bundle)

    monkeypatch.setattr("models.shipping.export.tolerance", strict)
    with pytest.raises(ExportError, match=r"openvino-bf16 scores held-back good frames otherwise"):
        run(lab, *export_command(made, tmp_path / "bundle"))
    assert not (tmp_path / "bundle").exists()


@pytest.mark.slow
def test_a_student_with_batch_norm_statistics_of_other_pictures_is_not_exported(
    made: Workshop, tmp_path: Path
) -> None:
    shutil.copytree(made.student, tmp_path / "student")
    weights = torch.load(made.student / WEIGHTS, weights_only=True)
    for name, values in weights.items():
        if name.startswith(("finder", "restorer")) and name.endswith("running_mean"):
            values.add_(20 * weights[name.replace("mean", "var")].sqrt())
    torch.save(weights, tmp_path / "student" / WEIGHTS)
    with pytest.raises(ExportError, match="tells synthetic defects from good parts with an AUROC of"):
        run(
            lab, *export_command(dataclasses.replace(made, student=tmp_path / "student"), tmp_path / "bundle")
        )
    assert not (tmp_path / "bundle").exists()


def test_the_golden_tiles_are_made_up_and_always_the_same(bundle: Bundle) -> None:
    found, _ = bundle.golden()
    assert np.array_equal(found, golden_tiles(bundle.manifest.input))


def test_no_path_of_this_machine_is_in_any_file(made: Workshop) -> None:
    here = str(Path(__file__).parents[3]).encode()
    for file in made.bundle.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            for trace in (here, str(made.root).encode(), b"student.py", sys.prefix.encode()):
                assert trace not in content, f"{file.name} holds {trace!r}"
