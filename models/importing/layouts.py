"""How the authors' checkpoints are laid out, and which weight of ours each of theirs is.

decodiff   {"model": the LDM U-Net and its class embedding, "args": the options of its training}
glad       `pytorch_model.bin`: the U-Net of Stable Diffusion by diffusers' names
diad       an LDM model: model.diffusion_model, control_model (the guide), first_stage_model (the fine-tuned
           VAE), cond_stage_model (CLIP's text encoder, frozen), and the tables of the schedule
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from models.methods.decodiff import DeCoDiff
from models.methods.diad import DiAD
from models.methods.glad import Glad
from models.parts.dino import IMAGENET_MEAN, IMAGENET_SPREAD
from models.parts.ldm import pointwise_as_linear, unet_names, vae_names
from models.parts.weights import Checkpoint, WeightsError, fill, refuse_difference

# The class embedding's rows, as the loaders of the code number them. No alphabet, and no order of figures.
MVTEC = (
    "capsule",
    "bottle",
    "grid",
    "leather",
    "metal_nut",
    "tile",
    "transistor",
    "zipper",
    "cable",
    "carpet",
    "hazelnut",
    "pill",
    "screw",
    "toothbrush",
    "wood",
)
VISA = (
    "candle",
    "cashew",
    "fryum",
    "macaroni2",
    "pcb2",
    "pcb4",
    "capsules",
    "chewinggum",
    "macaroni1",
    "pcb1",
    "pcb3",
    "pipe_fryum",
)
ORDERS = {"mvtec": MVTEC, "visa": VISA}  # by the option `dataset` of the training

UNET, GUIDE, VAE = "model.diffusion_model.", "control_model.", "first_stage_model."
FROZEN = "cond_stage_model."  # the folder of Stable Diffusion has the same
SCHEDULE_TABLES = frozenset(
    {
        "alphas_cumprod",
        "alphas_cumprod_prev",
        "betas",
        "log_one_minus_alphas_cumprod",
        "logvar",
        "lvlb_weights",
        "posterior_log_variance_clipped",
        "posterior_mean_coef1",
        "posterior_mean_coef2",
        "posterior_variance",
        "scale_factor",
        "sqrt_alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod",
        "sqrt_recip_alphas_cumprod",
        "sqrt_recipm1_alphas_cumprod",
    }
)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How one method's checkpoints are told and taken."""

    mark: str  # a weight that no other layout has
    order: Callable[[Checkpoint], tuple[str, ...] | None]  # of the products it is told by number; None: none
    take: Callable[[Checkpoint, DeCoDiff | Glad | DiAD, int], None]


def class_order(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The names of a DeCo-Diff's classes by the rows of its embedding. Raises WeightsError."""
    rows = len(checkpoint.tensors[_embedding(checkpoint)])
    trained_on = checkpoint.options.get("dataset")
    order = ORDERS.get(str(trained_on)) or next((one for one in ORDERS.values() if len(one) == rows), None)
    if order is None or rows < len(order):
        raise WeightsError(
            f"{checkpoint.path}: its class embedding has {rows} rows, and which product each of them is, is "
            f"known of {len(MVTEC)} (MVTec-AD) and {len(VISA)} (VisA) only"
        )
    return order


def take_decodiff(checkpoint: Checkpoint, model: DeCoDiff | Glad | DiAD, products: int) -> None:
    """The U-Net of a DeCo-Diff and the rows of its products. Raises WeightsError."""
    assert isinstance(model, DeCoDiff)
    embedding = _embedding(checkpoint)
    own = [name for name in model.net.state_dict() if name.startswith("net.")]
    older = unet_names(name.removeprefix("net.") for name in own)
    names = {name: older[name.removeprefix("net.")] for name in own} | {"embedding.weight": embedding}
    tensors = {**checkpoint.tensors, embedding: checkpoint.tensors[embedding][:products]}
    fill(
        model.net,
        tensors,
        checkpoint.path,
        "give the authors' checkpoint of UNet_L, the only size taken",
        names,
    )


def take_glad(checkpoint: Checkpoint, model: DeCoDiff | Glad | DiAD, _: int) -> None:
    """The U-Net of a GLAD. Raises WeightsError."""
    assert isinstance(model, Glad)
    remedy = "give pytorch_model.bin of one of the authors' checkpoint folders, and Stable Diffusion 1.4"
    fill(model.net.get_submodule("unet"), checkpoint.tensors, checkpoint.path, remedy)


def take_diad(checkpoint: Checkpoint, model: DeCoDiff | Glad | DiAD, _: int) -> None:
    """U-Net, guide and fine-tuned VAE of a DiAD, and the colours that these see. Raises WeightsError."""
    assert isinstance(model, DiAD)
    path, remedy = checkpoint.path, "give the authors' trained checkpoint of DiAD, and Stable Diffusion 1.5"
    unknown = [
        name
        for name in checkpoint.tensors
        if name not in SCHEDULE_TABLES and not name.startswith((UNET, GUIDE, VAE, FROZEN))
    ]
    refuse_difference(path, missing=[], unexpected=unknown, shapes=[], remedy=remedy)
    _refuse_other_schedule(checkpoint, model)
    trunk, copy = model.net.get_submodule("trunk"), model.net.get_submodule("guide")
    fill(trunk, _below(checkpoint, UNET), path, remedy, _prefixed(unet_names(trunk.state_dict()), UNET))
    fill(copy, _below(checkpoint, GUIDE), path, remedy, _prefixed(_guide_names(copy.state_dict()), GUIDE))
    codec = model.get_submodule("codec")
    vae = codec.get_submodule("vae")
    tensors = pointwise_as_linear(_below(checkpoint, VAE))
    fill(vae, tensors, path, remedy, _prefixed(vae_names(vae.state_dict()), VAE))
    mean, spread = (torch.tensor(one).view(1, 3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_SPREAD))
    codec.get_buffer("centre").copy_(2 * mean - 1)  # of [0, 1] made into [-1, 1]
    codec.get_buffer("spread").copy_(2 * spread)


LAYOUTS: dict[str, Layout] = {
    "decodiff": Layout(mark="input_blocks.0.0.weight", order=class_order, take=take_decodiff),
    "glad": Layout(mark="down_blocks.0.resnets.0.conv1.weight", order=lambda _: None, take=take_glad),
    "diad": Layout(mark=f"{GUIDE}input_blocks.0.0.weight", order=lambda _: None, take=take_diad),
}


def refuse_other_method(method: str, checkpoint: Checkpoint) -> None:
    """Raises WeightsError for the checkpoint of another method, or of none that is known."""
    if LAYOUTS[method].mark in checkpoint.tensors:
        return
    others = [name for name, layout in LAYOUTS.items() if layout.mark in checkpoint.tensors]
    if others:
        raise WeightsError(
            f"{checkpoint.path}: is laid out as {others[0]}'s; run `plumbline-lab import {others[0]}`"
        )
    raise WeightsError(
        f"{checkpoint.path}: has no {LAYOUTS[method].mark}: it is no checkpoint of {method}; it begins with "
        f"{', '.join(sorted(checkpoint.tensors)[:3])}"
    )


def _embedding(checkpoint: Checkpoint) -> str:
    """What the file calls the class embedding: the one table that no U-Net has."""
    found = [
        name
        for name, one in checkpoint.tensors.items()
        if name.endswith("embedding.weight") and one.ndim == 2
    ]
    if len(found) != 1:
        raise WeightsError(
            f"{checkpoint.path}: has {len(found)} class embeddings in place of one; give the authors' "
            "checkpoint itself"
        )
    return found[0]


def _guide_names(own: Mapping[str, Tensor]) -> dict[str, str]:
    """ControlNet's weights, and the fusion's nine: downIK goes from fine map I to coarse map K."""
    copied = [name for name in own if name.startswith("copy.")]
    older = unet_names(name.removeprefix("copy.") for name in copied)
    fused = {
        f"fusion.shrink.{3 * k + i}.weight": f"down{i + 1}{k + 1}.0.weight"
        for k in range(3)
        for i in range(3)
    }
    return {name: older[name.removeprefix("copy.")] for name in copied} | fused


def _refuse_other_schedule(checkpoint: Checkpoint, model: DiAD) -> None:
    table = checkpoint.tensors.get("alphas_cumprod")
    own = model.schedule.signal.square()
    if table is not None and (table.shape != own.shape or not torch.allclose(table.float(), own, atol=1e-4)):
        raise WeightsError(
            f"{checkpoint.path}: was trained on another schedule of noise than DiAD's; give the authors' file"
        )


def _below(checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    return {name: one for name, one in checkpoint.tensors.items() if name.startswith(prefix)}


def _prefixed(names: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {own: prefix + older for own, older in names.items()}
