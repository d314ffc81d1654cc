"""Stable Diffusion's parts are read from the published layout, and their absence says what to download."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from models.parts.stable_diffusion import (
    NEEDED,
    prompt_embedding,
    require_parts,
    sd_unet,
    untrained_sd_unet,
)
from models.parts.weights import WeightsError

START, END = "<|startoftext|>", "<|endoftext|>"


def save_tiny_unet(path: Path, context: int = 16) -> UNet2DConditionModel:
    torch.manual_seed(0)
    net = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=context,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    net.save_pretrained(path / "unet")
    return net.eval()


def save_tiny_text(path: Path, width: int = 16) -> CLIPTextModel:
    """A text encoder, and a tokenizer that knows single letters only."""
    letters = [*string.ascii_lowercase, *(letter + "</w>" for letter in string.ascii_lowercase)]
    words = {word: index for index, word in enumerate([*letters, START, END])}
    (path / "tokenizer").mkdir(parents=True)
    (path / "tokenizer" / "vocab.json").write_text(json.dumps(words))
    (path / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    torch.manual_seed(1)
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=1,
            num_attention_heads=2,
            bos_token_id=words[START],
            eos_token_id=words[END],
            pad_token_id=words[END],
        )
    )
    encoder.save_pretrained(path / "text_encoder")
    return encoder.eval()


def test_the_published_unet_has_the_published_size() -> None:
    with torch.device("meta"):
        net = untrained_sd_unet()
    assert sum(parameter.numel() for parameter in net.parameters()) == 859_520_964


def test_the_unet_is_loaded_from_its_folder(tmp_path: Path) -> None:
    made = save_tiny_unet(tmp_path)
    net = sd_unet(tmp_path)
    assert net.training
    state, wanted = net.state_dict(), made.state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(state[key], wanted[key]) for key in wanted)


def test_a_prompt_is_embedded_as_the_padded_tokens_of_its_letters(tmp_path: Path) -> None:
    encoder = save_tiny_text(tmp_path)
    found = prompt_embedding(tmp_path, "ab")
    start, end = 52, 53
    tokens = torch.tensor([[start, 0, 26 + 1, *[end] * 74]])  # only a word's last letter has </w>
    with torch.no_grad():
        assert torch.allclose(found, encoder(tokens).last_hidden_state, atol=1e-6)
    assert found.shape == (1, 77, 16)
    assert not found.requires_grad
    assert not torch.allclose(found, prompt_embedding(tmp_path, ""))


def test_absent_parts_are_named_with_what_to_download(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no unet/config\.json; download .*v1-4 .*--weights"):
        sd_unet(tmp_path)
    with pytest.raises(WeightsError, match=r"text_encoder/config\.json, tokenizer/vocab\.json, tok"):
        prompt_embedding(tmp_path, "")
    save_tiny_text(tmp_path)
    with pytest.raises(WeightsError, match=r"no unet/config\.json, vae/config\.json; download"):
        require_parts(tmp_path, list(NEEDED))


def test_a_folder_with_a_description_but_no_weights_says_so(tmp_path: Path) -> None:
    save_tiny_unet(tmp_path)
    save_tiny_text(tmp_path)
    for file in tmp_path.rglob("*.safetensors"):
        file.unlink()
    with pytest.raises(WeightsError, match="download"):
        sd_unet(tmp_path)
    with pytest.raises(WeightsError, match="download"):
        prompt_embedding(tmp_path, "")
