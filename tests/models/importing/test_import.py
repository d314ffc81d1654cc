"""The authors' checkpoints become runs that are judged and distilled, whole or not at all."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from agent.errors import PlumblineError
from models.cli.main import app as lab
from models.data.preflight import PreflightError
from models.importing.layouts import FROZEN, GUIDE, MVTEC, UNET, VAE, VISA, class_order
from models.methods import decodiff, diad, glad
from models.methods.diad import DiAD
from models.methods.method import Restoration
from models.parts.ldm import unet_names, vae_names
from models.parts.schedule import scaled_linear
from models.parts.stable_diffusion import sd_unet
from models.parts.weights import Checkpoint, WeightsError
from models.student import distill, finish, student
from models.student.distill import numbers_of
from models.student.lessons import Told
from models.training import plans
from models.training.train import RUN, WEIGHTS, RunError, build, load_teacher, read_run
from tests.models.methods.stand_ins import generator, images, save_tiny_vae, stirred
from tests.models.methods.test_diad_published import write_weights as save_tiny_diad_weights
from tests.models.methods.test_glad_published import save_tiny_weights as save_tiny_glad_weights
from tests.models.parts.test_stable_diffusion import save_tiny_text
from tests.models.small_memory import small_memory
from tests.models.tiny import write_tiny
from tests.models.workshop import WORSE_TOO, run, run_lab

SMALL = dataclasses.replace(
    decodiff.PRESETS["paper"], widths=(32, 64, 64), context=16, correction_steps=2, top=5
)


@dataclass(frozen=True, kw_only=True)
class Published:
    """What one has who wants to import: the file, the folder it builds on, and pictures."""

    method: str
    file: Path
    weights: Path
    data: Path
    out: Path

    def command(self, **changes: object) -> list[object]:
        one = dataclasses.replace(self, **changes)  # type: ignore[arg-type]
        return [
            "import",
            one.method,
            one.file,
            "--data",
            one.data,
            "--weights",
            one.weights,
            "--out",
            one.out,
        ]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """DeCo-Diff's published network in small, and small tiles; the others' nets are as their folders say.

    What is judged is judged beside a small memory of good parts.
    """
    small_memory(monkeypatch)
    monkeypatch.setitem(decodiff.PRESETS, "paper", SMALL)
    for method in METHODS:
        monkeypatch.setitem(plans.TILE_PX, (method, "paper"), 128 if method == "diad" else 64)


@pytest.fixture(scope="module")
def bottle(yardsticks: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that several are judged on, beside one memory of good parts for each size of tiles."""
    return write_tiny(tmp_path_factory.mktemp("data") / "bottle")


def published(method: str, root: Path) -> tuple[Published, dict[str, Any]]:
    """Made-up weights in the layout of the authors' file, and what the file holds."""
    data = write_tiny(root / "bottle")
    SAVED[method](root / "weights")
    content = LAID_OUT[method](root / "weights")
    file = root / ("last.pt" if method == "decodiff" else "pytorch_model.bin")
    torch.save(content, file)
    made = Published(method=method, file=file, weights=root / "weights", data=data, out=root / "run")
    return made, content


def of_decodiff(_: Path) -> dict[str, Any]:
    torch.manual_seed(7)
    net = stirred(decodiff.PublishedUNet(dataclasses.replace(SMALL, products=15)))
    state = net.state_dict()
    own = [name.removeprefix("net.") for name in state if name.startswith("net.")]
    older = {there: state[f"net.{name}"] for name, there in unet_names(own).items()}
    return {
        "model": older | {"class_embed.embedding.weight": state["embedding.weight"]},
        "args": argparse.Namespace(dataset="mvtec", model_size="UNet_L", global_seed=10),
    }


def of_glad(weights: Path) -> dict[str, Any]:
    net: torch.nn.Module = stirred(sd_unet(weights))
    return {name: one.half() for name, one in net.state_dict().items()}


def of_diad(weights: Path) -> dict[str, Any]:
    model: DiAD = stirred(untrained_diad(weights))
    net, codec = model.net, model.get_submodule("codec.vae")
    trunk, copy = net.get_submodule("trunk").state_dict(), net.get_submodule("guide.copy").state_dict()
    fusion = net.get_submodule("guide.fusion").state_dict()
    vae = codec.state_dict()
    older = {UNET + there: trunk[name] for name, there in unet_names(trunk).items()}
    older |= {GUIDE + there: copy[name] for name, there in unet_names(copy).items()}
    for coarse in range(3):
        for fine in range(3):
            older[f"{GUIDE}down{fine + 1}{coarse + 1}.0.weight"] = fusion[
                f"shrink.{3 * coarse + fine}.weight"
            ]
    for name, there in vae_names(vae).items():
        pointwise = ".attn_1." in there and there.endswith("weight") and vae[name].ndim == 2
        older[VAE + there] = vae[name][..., None, None] if pointwise else vae[name]
    tables = {"alphas_cumprod": scaled_linear(1000).signal.square(), "betas": torch.zeros(1000)}
    text = {f"{FROZEN}transformer.text_model.final_layer_norm.weight": torch.ones(6)}
    return {"state_dict": older | tables | text, "global_step": 12}


def untrained_diad(weights: Path) -> DiAD:
    made: DiAD = diad.build(diad.adapted(diad.PRESETS["paper"], channels=1, products=1, weights=weights))
    return made


LAID_OUT: dict[str, Callable[[Path], dict[str, Any]]] = {
    "decodiff": of_decodiff,
    "glad": of_glad,
    "diad": of_diad,
}
SAVED: dict[str, Callable[[Path], object]] = {
    "decodiff": save_tiny_vae,
    "glad": save_tiny_glad_weights,
    "diad": lambda path: (save_tiny_diad_weights(path), save_tiny_text(path, width=6)),
}
METHODS = tuple(LAID_OUT)


def tensors_of(content: dict[str, Any]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = content.get("model") or content.get("state_dict") or content
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("method", METHODS)
def test_a_checkpoint_becomes_a_run_with_every_one_of_its_weights(method: str, tmp_path: Path) -> None:
    made, content = published(method, tmp_path)
    said = run_lab(*made.command())
    assert f"teacher: {made.out}, {method} of " in said
    found, model = load_teacher(made.out)
    assert (found.method, found.preset, found.input.channels) == (method, "paper", 1)
    assert found.checkpoint is not None
    assert len(found.checkpoint) == 64
    wanted = {
        key: one for key, one in tensors_of(content).items() if one.ndim > 1 and not key.startswith(FROZEN)
    }
    state = {id(one): one for one in model.state_dict().values()}
    sums = {round(float(one.double().sum()), 6) for one in state.values()}
    assert {round(float(one.float().double().sum()), 6) for one in wanted.values()} <= sums
    assert sorted(path.name for path in made.out.iterdir()) == [RUN, WEIGHTS]


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_the_order_of_the_classes_is_the_published_one_and_rules_who_is_told_what(
    bottle: Path, tmp_path: Path
) -> None:
    published_, content = published("decodiff", tmp_path)
    made = dataclasses.replace(published_, data=bottle)
    run_lab(*made.command())
    found, model = load_teacher(made.out)
    assert found.data == MVTEC
    rows = tensors_of(content)["class_embed.embedding.weight"]
    assert torch.equal(model.net.embedding.weight[found.data.index("bottle")], rows[1])
    assert list(numbers_of(found, ("bottle", "carpet", "wood"))) == [1, 9, 14]
    run_lab("evaluate", made.out, "--data", made.data, "--product", "bottle")
    with pytest.raises(PreflightError, match=r"knows capsule, bottle, grid, .*, not 'gasket'"):
        run(lab, "evaluate", made.out, "--data", made.data, "--product", "gasket")


@pytest.mark.slow
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("method", METHODS)
def test_an_imported_teacher_is_judged_and_teaches(
    method: str, bottle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"start": 200, "steps": 2, "fallback": 100}
    monkeypatch.setitem(glad.PRESETS, "paper", dataclasses.replace(glad.PRESETS["paper"], **few))
    monkeypatch.setitem(diad.PRESETS, "paper", dataclasses.replace(diad.PRESETS["paper"], steps=2))
    monkeypatch.setitem(student.PRESETS, "paper", student.PRESETS["nano"])
    monkeypatch.setitem(distill.LESSON_COUNTS, "paper", 8)
    monkeypatch.setattr(finish, "BATCH_NORM_BATCHES", 2)
    made = dataclasses.replace(published(method, tmp_path)[0], data=bottle)
    run_lab(*made.command())
    assert "image_auroc" in run_lab("evaluate", made.out, "--data", made.data)
    run_lab(
        "distill", made.out, "--data", made.data, "--out", tmp_path / "student", "--images", 64, WORSE_TOO
    )
    taught = read_run(tmp_path / "student")
    assert (taught.data, taught.checkpoint) == (("bottle",), None)


def test_a_teacher_is_told_each_product_by_its_own_number() -> None:
    asked: list[Tensor] = []

    class Listens:
        def inspect(self, images: Tensor, rng: torch.Generator, products: Tensor) -> Restoration:
            asked.append(products)
            return Restoration(image=images, map=images, score=images[:, 0, 0, 0])

    told = Told(Listens(), torch.tensor([9, 1]))
    told.inspect(images(3), generator(), torch.tensor([1, 0, 1]))
    assert asked[0].tolist() == [1, 9, 1]


@pytest.mark.parametrize(
    ("rows", "options", "order"),
    [(15, {}, MVTEC), (12, {}, VISA), (15, {"dataset": "visa"}, VISA), (15, {"dataset": "mvtec"}, MVTEC)],
)
def test_the_order_is_told_by_the_options_or_by_the_rows(
    rows: int, options: dict[str, Any], order: tuple[str, ...]
) -> None:
    tensors = {"embedding.weight": torch.zeros(rows, 4)}
    assert class_order(Checkpoint(path=Path("last.pt"), tensors=tensors, options=options)) == order
    assert sorted(order) != list(order)


@pytest.mark.parametrize(("rows", "options"), [(7, {}), (3, {"dataset": "visa"})])
def test_an_order_that_nobody_knows_is_refused(rows: int, options: dict[str, Any]) -> None:
    tensors = {"embedding.weight": torch.zeros(rows, 4)}
    with pytest.raises(WeightsError, match=rf"embedding has {rows} rows, and which product each of them is"):
        class_order(Checkpoint(path=Path("last.pt"), tensors=tensors, options=options))


def lacking(content: dict[str, Any]) -> str:
    tensors = tensors_of(content)
    for name in [name for name in tensors if "output_blocks." in name or "up_blocks." in name]:
        del tensors[name]
    return r"lacks \d+ weights: \S*(output|up)_blocks\.\d"


def with_more(content: dict[str, Any]) -> str:
    tensors_of(content)["ema.decay"] = torch.zeros(3)
    return r"has 1 that this net has no place for: ema\.decay"


def of_another_size(content: dict[str, Any]) -> str:
    tensors = tensors_of(content)
    name = next(
        name
        for name in tensors
        if name.endswith(("output_blocks.0.0.in_layers.2.weight", "up_blocks.0.resnets.0.conv1.weight"))
    )
    tensors[name] = torch.zeros(2, *tensors[name].shape[1:])
    return r"has 1 of another shape: \S+ is 2 x \d+ x 3 x 3 in place of \d+ x "


def with_nan(content: dict[str, Any]) -> str:
    tensors = tensors_of(content)
    name = max(name for name, one in tensors.items() if one.ndim == 4)
    tensors[name] = torch.full_like(tensors[name], torch.nan)
    return r"1 tensors hold numbers that are none"


class Mischief:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("proof",)


def with_code(content: dict[str, Any]) -> str:
    content["optimiser"] = Mischief()
    return "could run code and were not opened"


@pytest.mark.slow
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("spoil", [lacking, with_more, of_another_size, with_nan, with_code])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_the_whole_of_it_is_refused_and_leaves_nothing(
    method: str, spoil: Callable[[dict[str, Any]], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made, content = published(method, tmp_path)
    said = spoil(content)
    torch.save(content, made.file)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(WeightsError, match=said):
        run(lab, *made.command())
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.usefixtures("small")
def test_another_method_s_checkpoint_and_a_foreign_one_are_told(tmp_path: Path) -> None:
    made, _ = published("decodiff", tmp_path)
    with pytest.raises(WeightsError, match=r"is laid out as decodiff's; run `plumbline-lab import decodiff`"):
        run(lab, *made.command(method="glad"))
    torch.save({"backbone.conv1.weight": torch.zeros(2, 3)}, made.file)
    with pytest.raises(
        WeightsError, match=r"no checkpoint of decodiff; it begins with backbone\.conv1\.weight"
    ):
        run(lab, *made.command())
    assert not made.out.exists()


@pytest.mark.usefixtures("small")
def test_products_that_it_was_not_trained_on_and_a_folder_in_use_are_refused(tmp_path: Path) -> None:
    made, _ = published("decodiff", tmp_path)
    gasket = write_tiny(tmp_path / "gasket")
    with pytest.raises(
        PlumblineError, match=r"was not trained on gasket; name the folders as its authors did: cap"
    ):
        run(lab, *made.command(data=gasket))
    made.out.mkdir()
    (made.out / RUN).write_text(yaml.safe_dump({"method": "glad"}))
    with pytest.raises(RunError, match="is not empty; choose another --out"):
        run(lab, *made.command())
    assert (made.out / RUN).read_text() == "method: glad\n"


@pytest.mark.slow
def test_a_diad_of_another_schedule_is_refused(tmp_path: Path) -> None:
    made, content = published("diad", tmp_path)
    content["state_dict"]["alphas_cumprod"] = torch.linspace(1, 0, 1000)
    torch.save(content, made.file)
    with pytest.raises(WeightsError, match="was trained on another schedule of noise"):
        run(lab, *made.command())


@pytest.mark.slow
def test_an_imported_diad_sees_the_colours_that_its_vae_was_tuned_in(tmp_path: Path) -> None:
    made, _ = published("diad", tmp_path)
    run_lab(*made.command())
    found, model = load_teacher(made.out)
    shown = images(1)
    mean, spread = (
        torch.tensor(one).view(1, 3, 1, 1) for one in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    assert torch.allclose(model.codec.coloured(shown), ((shown + 1) / 2 - mean) / spread, atol=1e-5)
    assert torch.equal(build(found).codec.coloured(shown), shown.expand(-1, 3, -1, -1))
    assert model.net.guide.fusion.norm.eps == 1e-5
