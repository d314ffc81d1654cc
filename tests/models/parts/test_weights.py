"""Published weights are taken whole or not at all, and nothing that a file carries is run."""

from __future__ import annotations

import argparse
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetForImageClassification

from models.parts.codec import load_sd_vae
from models.parts.dino import load_dino
from models.parts.resnet import load_resnet50
from models.parts.stable_diffusion import prompt_embedding, sd_unet
from models.parts.weights import WeightsError, fill, read_checkpoint
from tests.models.methods.stand_ins import save_tiny_vae
from tests.models.parts.test_dino import save_tiny_vit
from tests.models.parts.test_stable_diffusion import save_tiny_text, save_tiny_unet

Load = Callable[[Path], object]


def save_tiny_resnet(path: Path) -> None:
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], num_labels=3)
    ResNetForImageClassification(config).save_pretrained(path / "resnet-50")


KINDS: dict[str, tuple[Callable[[Path], object], str, Load]] = {
    "unet": (save_tiny_unet, "unet", sd_unet),
    "text": (save_tiny_text, "text_encoder", lambda path: prompt_embedding(path, "")),
    "vae": (lambda path: save_tiny_vae(path / "vae"), "vae", lambda path: load_sd_vae(path / "vae")),
    "dino": (lambda path: save_tiny_vit(path / "dino"), "dino", lambda path: load_dino(path / "dino")),
    "resnet": (save_tiny_resnet, "resnet-50", lambda path: load_resnet50(path / "resnet-50")),
}


def without_first(state: dict[str, Tensor]) -> str:
    del state[min(state)]
    return r"lacks 1 weights: \S+; download"


def with_another(state: dict[str, Tensor]) -> str:
    state["zz.other"] = torch.zeros(2)
    return r"has 1 that this net has no place for: zz\.other; download"


def of_another_shape(state: dict[str, Tensor]) -> str:
    state[min(state)] = torch.zeros(7, 7)
    return r"weights of another shape: .*mismatch.*; download"


def with_nan(state: dict[str, Tensor]) -> str:
    last = max(name for name, one in state.items() if one.is_floating_point())
    state[last] = torch.full_like(state[last], torch.nan)
    return r"1 tensors hold numbers that are none \(NaN or infinite\): \S+; the file is damaged"


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [without_first, with_another, of_another_shape, with_nan])
@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_whose_weights_are_not_the_net_s_is_refused_by_name(
    kind: str, spoil: Callable[[dict[str, Tensor]], str], tmp_path: Path
) -> None:
    save, folder, load = KINDS[kind]
    save(tmp_path)
    load(tmp_path)
    file = next((tmp_path / folder).glob("*.safetensors"))
    state = load_file(file)
    said = spoil(state)
    save_file(state, file, {"format": "pt"})
    with pytest.raises(WeightsError, match=said):
        load(tmp_path)


@pytest.mark.parametrize(("kind", "part"), [("unet", "up_blocks."), ("vae", "decoder.")])
def test_half_a_net_is_refused(kind: str, part: str, tmp_path: Path) -> None:
    save, folder, load = KINDS[kind]
    save(tmp_path)
    file = next((tmp_path / folder).glob("*.safetensors"))
    kept = {name: one for name, one in load_file(file).items() if not name.startswith(part)}
    save_file(kept, file, {"format": "pt"})
    with pytest.raises(WeightsError, match=rf"lacks \d\d+ weights: {part}\S+, {part}\S+, .* and \d+ more"):
        load(tmp_path)


def test_what_older_releases_kept_beside_the_weights_is_no_difference(tmp_path: Path) -> None:
    save_tiny_text(tmp_path)
    file = tmp_path / "text_encoder" / "model.safetensors"
    bare = {name.removeprefix("text_model."): one for name, one in load_file(file).items()}
    older = {f"text_model.{name}": one for name, one in bare.items()}
    save_file(older | {"text_model.embeddings.position_ids": torch.arange(77)[None]}, file, {"format": "pt"})
    assert prompt_embedding(tmp_path, "ab").shape == (1, 77, 16)
    save_tiny_vit(tmp_path / "dino")
    file = tmp_path / "dino" / "model.safetensors"
    pooler = {"pooler.dense.weight": torch.zeros(16, 16), "pooler.dense.bias": torch.zeros(16)}
    save_file(load_file(file) | pooler, file, {"format": "pt"})
    load_dino(tmp_path / "dino")


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
def test_a_checkpoint_is_read_with_or_without_its_wrapper(wrapper: str | None, tmp_path: Path) -> None:
    tensors = {"a.weight": torch.ones(2, 2), "a.steps": torch.tensor(3)}
    content = tensors if wrapper is None else {wrapper: tensors, "epoch": 4}
    torch.save(content, tmp_path / "last.pt")
    found = read_checkpoint(tmp_path / "last.pt")
    assert found.tensors.keys() == tensors.keys()
    assert found.options == {}


def test_options_beside_the_tensors_are_values(tmp_path: Path) -> None:
    options = argparse.Namespace(dataset="mvtec", lr=1e-4)
    torch.save({"model": {"a": torch.ones(1)}, "args": options}, tmp_path / "last.pt")
    assert read_checkpoint(tmp_path / "last.pt").options == {"dataset": "mvtec", "lr": 1e-4}


def test_safetensors_are_read_as_they_are(tmp_path: Path) -> None:
    save_file({"a": torch.ones(3)}, tmp_path / "net.safetensors")
    assert torch.equal(read_checkpoint(tmp_path / "net.safetensors").tensors["a"], torch.ones(3))
    (tmp_path / "net.safetensors").write_bytes(b"no header")
    with pytest.raises(WeightsError, match="damaged, or no safetensors"):
        read_checkpoint(tmp_path / "net.safetensors")


class Mischief:
    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.proof),)


@pytest.mark.parametrize("plain", [True, False])
def test_code_in_a_pickle_is_refused_and_never_run(plain: bool, tmp_path: Path) -> None:
    content = {"model": {"a": torch.ones(1)}, "args": Mischief(tmp_path / "proof")}
    path = tmp_path / "last.pt"
    if plain:
        path.write_bytes(pickle.dumps(content["args"], protocol=2))
    else:
        torch.save(content, path)
    with pytest.raises(WeightsError, match="could run code and were not opened"):
        read_checkpoint(path)
    assert not (tmp_path / "proof").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@given(content=st.binary(max_size=200))
def test_whatever_bytes_a_file_has_it_is_read_or_refused(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "last.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"last\.pt: "):
        read_checkpoint(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@given(data=st.data())
def test_a_file_that_was_damaged_is_refused_or_still_finite(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "last.pt"
    torch.save({"a": torch.ones(4), "b": torch.zeros(2, 2)}, path)
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(at, len(whole)))
    path.write_bytes(bytes(whole[: cut + 1]))
    try:
        found = read_checkpoint(path)
    except WeightsError:
        return
    assert all(one.isfinite().all() for one in found.tensors.values())


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.pt: no such file"):
        read_checkpoint(tmp_path / "absent.pt")
    torch.save([torch.ones(1)], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="holds a list, no named tensors"):
        read_checkpoint(tmp_path / "list.pt")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(WeightsError, match="holds no tensors"):
        read_checkpoint(tmp_path / "empty.pt")
    torch.save({"a": torch.tensor([1.0, torch.inf])}, tmp_path / "nan.pt")
    with pytest.raises(
        WeightsError, match=r"1 tensors hold numbers that are none .*: a; the file is damaged"
    ):
        read_checkpoint(tmp_path / "nan.pt")


def test_every_difference_to_a_net_is_named_at_once(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    tensors = {"0.weight": torch.zeros(4, 2), "1.weight": torch.zeros(1, 3), "2.weight": torch.zeros(1)}
    before = {name: one.clone() for name, one in net.state_dict().items()}
    said = (
        r"w\.pt: lacks 2 weights: 0\.bias, 1\.bias; has 1 that this net has no place for: 2\.weight; "
        r"has 1 of another shape: 0\.weight is 4 x 2 in place of 3 x 2; remedy"
    )
    with pytest.raises(WeightsError, match=said):
        fill(net, tensors, Path("w.pt"), "remedy")
    assert all(torch.equal(before[name], one) for name, one in net.state_dict().items())
