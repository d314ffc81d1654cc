"""A codec gives back what it was given: the unshuffle exactly, a Stable Diffusion VAE as diffusers does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.parts.codec import SD_SCALE, Unshuffle, load_sd_vae, space_to_depth
from models.parts.weights import WeightsError
from tests.models.methods.stand_ins import save_tiny_vae


def images(seed: int, channels: int = 1, count: int = 3) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, 16, 24, generator=rng) * 2 - 1


@given(seed=st.integers(0, 2**31), channels=st.sampled_from([1, 3]), stride=st.sampled_from([1, 2, 4, 8]))
def test_space_to_depth_is_pixel_unshuffle(seed: int, channels: int, stride: int) -> None:
    x = images(seed, channels)
    assert torch.equal(space_to_depth(x, stride), F.pixel_unshuffle(x, stride))


@given(seed=st.integers(0, 2**31), channels=st.sampled_from([1, 3]), stride=st.sampled_from([1, 2, 4, 8]))
def test_an_unfitted_unshuffle_gives_back_the_very_bits(seed: int, channels: int, stride: int) -> None:
    codec, x = Unshuffle(channels, stride), images(seed, channels)
    assert torch.equal(codec.decode(codec.encode(x)), x)


@given(seed=st.integers(0, 2**31), channels=st.sampled_from([1, 3]))
def test_a_fitted_unshuffle_gives_back_every_grey_level(seed: int, channels: int) -> None:
    codec = Unshuffle(channels, 4)
    codec.fit(images(seed + 1, channels, count=8) * 0.1 + 0.3)
    grey = ((images(seed, channels) + 1) * 127.5).round()
    back = codec.decode(codec.encode(grey / 127.5 - 1))
    assert torch.equal(((back + 1) * 127.5).round(), grey)


def test_good_parts_have_whitened_latents() -> None:
    codec, good = Unshuffle(1, 4), images(0, count=32) * 0.2 + 0.5
    codec.fit(good)
    z = codec.encode(good)
    assert torch.allclose(z.mean((0, 2, 3)), torch.zeros(16), atol=1e-4)
    assert torch.allclose(z.std((0, 2, 3)), torch.ones(16), atol=1e-4)


def test_a_part_without_any_texture_has_finite_latents() -> None:
    codec, flat = Unshuffle(1, 4), torch.full((2, 1, 16, 16), 0.25)
    codec.fit(flat)
    assert torch.isfinite(codec.encode(flat)).all()
    assert torch.isfinite(codec.encode(-flat)).all()


@given(seed=st.integers(0, 2**31), channels=st.sampled_from([1, 3]), stride=st.sampled_from([2, 4, 8]))
def test_a_grown_picture_has_the_latents_that_it_has_when_it_is_made(
    seed: int, channels: int, stride: int
) -> None:
    codec = Unshuffle(channels, stride)
    codec.fit(images(seed + 1, channels, count=8))
    cells = images(seed, channels)
    grown = F.interpolate(cells, scale_factor=stride, mode="bilinear")
    assert torch.allclose(codec.encode_grown(cells), codec.encode(grown), atol=1e-5)


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AutoencoderKL]:
    """A made-up AutoencoderKL with the published one's stride of 8 and 4 channels, on disk."""
    folder = tmp_path_factory.mktemp("vae")
    made = save_tiny_vae(folder).eval()
    return folder, made


def test_an_sd_vae_is_loaded_from_its_folder(vae: tuple[Path, AutoencoderKL]) -> None:
    folder, made = vae
    codec, x = (
        load_sd_vae(folder),
        torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1,
    )
    with torch.no_grad():
        z = codec.encode(x)
        assert z.shape == (2, 4, 4, 4)
        assert torch.allclose(z, made.encode(x).latent_dist.mean * SD_SCALE, atol=1e-5)
        assert torch.allclose(codec.decode(z), made.decode(z / SD_SCALE).sample, atol=1e-5)


def test_an_sd_vae_is_frozen(vae: tuple[Path, AutoencoderKL]) -> None:
    codec = load_sd_vae(vae[0])
    assert not codec.vae.training
    assert not any(parameter.requires_grad for parameter in codec.vae.parameters())


def test_a_folder_without_a_vae_says_what_to_download(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no config\.json of an AutoencoderKL; download"):
        load_sd_vae(tmp_path)


def test_a_vae_without_its_weights_says_what_to_download(
    vae: tuple[Path, AutoencoderKL], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_bytes((vae[0] / "config.json").read_bytes())
    with pytest.raises(WeightsError, match="download"):
        load_sd_vae(tmp_path)
