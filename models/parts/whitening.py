"""Channels of features made alike, by what they are on good parts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SHRUNK = 0.05  # of a covariance towards its diagonal; more where patches are few for the channels
FLOOR = 1e-6  # of the channels' mean variance: one that never moves must not count without bound


@dataclass(frozen=True, kw_only=True)
class Whitening:
    """A level's channels made alike: uncorrelated, and of equal spread on good patches."""

    middle: Tensor  # (c,)
    turn: Tensor  # (c, c)

    def of(self, patches: Tensor) -> Tensor:
        """(P, c) to (P, c); the mean square of a good patch's length is about 1, whatever c."""
        return (patches - self.middle) @ self.turn


def whiten(patches: Tensor) -> Whitening:
    """The whitening of patches (P, c); the fewer they are, the less correlations count."""
    middle = patches.mean(0)
    apart = patches - middle
    covariance = apart.T @ apart / len(patches)
    own = covariance.diagonal()
    shrunk = max(SHRUNK, len(own) / (len(own) + len(patches)))
    values, vectors = torch.linalg.eigh((1 - shrunk) * covariance + shrunk * own.diag())
    least = max(FLOOR * float(own.mean()), 1e-12)
    return Whitening(middle=middle, turn=vectors / (values.clamp_min(least) * len(own)).sqrt())
