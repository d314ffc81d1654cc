"""The period of a stripe or checker target in pixels, and how sure it is.

The target's rows are cut into bands. In each, the power spectra of its rows are added (phases cancel, so
a checker works as stripes do), and the strongest fundamental is refined between bins by a parabola
through its logarithm (Hann window, zero padding). The period is the mean of the bands; its uncertainty is
the larger of twice the standard error of that mean and the estimator's own bias of BIAS_BINS. Pure;
target across: rows are lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.errors import PlumblineError
from agent.messages import Samples

BANDS = 8
PADDING = 8
BIAS_BINS = 0.02  # of an unpadded bin; larger than what was seen on made-up targets
MIN_PERIODS = 6  # in the picture
MIN_PERIOD_PX = 4
MIN_CONTRAST = 0.02  # standard deviation along the rows, as a share of full scale
MIN_SHARE = 0.10  # of the power that the fundamental must have
MAX_SPREAD = 0.02  # between bands


class PitchError(PlumblineError):
    """The picture does not show a regular target; says what was seen and what is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One dark and one light stripe together."""

    period_px: float
    uncertainty_px: float  # 95 %


def period_across(image: Samples, bit_depth: int = 8) -> Period:
    """Of a (lines, width, channels) picture along its lines; raises PitchError."""
    grey = image.mean(axis=2, dtype=np.float64) / ((1 << bit_depth) - 1)
    width = grey.shape[1]
    contrast = float(grey.std(axis=1).mean())
    if width < MIN_PERIODS * MIN_PERIOD_PX or contrast < MIN_CONTRAST:
        raise PitchError(
            f"a picture of {width} px with a contrast of {contrast:.1%}: at least"
            f" {MIN_PERIODS * MIN_PERIOD_PX} px and {MIN_CONTRAST:.0%} are needed; put the target in view, in"
            " focus, and light it evenly"
        )
    bands = np.array_split(grey, min(BANDS, len(grey)))
    periods = np.array([width * PADDING / _fundamental(band) for band in bands])
    spread = float(np.ptp(periods) / periods.mean())
    if spread > MAX_SPREAD:
        raise PitchError(
            f"periods from {periods.min():.2f} to {periods.max():.2f} px in one picture; lay the target"
            " flat and square to the camera"
        )
    mean = float(periods.mean())
    error = 2 * float(periods.std(ddof=1)) / np.sqrt(len(periods)) if len(periods) > 1 else 0.0
    return Period(period_px=mean, uncertainty_px=max(error, BIAS_BINS * mean**2 / width))


def period_down(image: Samples, bit_depth: int = 8) -> Period:
    """Of the same target turned: along the columns; raises PitchError."""
    return period_across(image.transpose(1, 0, 2), bit_depth)


def _fundamental(band: np.ndarray) -> float:
    """In bins of the padded spectrum, between bins."""
    width = band.shape[1]
    window = np.hanning(width)
    centred = band - (band * window).sum(axis=1, keepdims=True) / window.sum()
    power = (np.abs(np.fft.rfft(centred * window, width * PADDING, axis=1)) ** 2).sum(axis=0)
    lowest = MIN_PERIODS * PADDING // 2
    power[:lowest] = 0  # vignetting and uneven light
    peak = int(power.argmax())
    lobe = slice(max(0, peak - 2 * PADDING), peak + 2 * PADDING + 1)
    if power[lobe].sum() < MIN_SHARE * power.sum() or not MIN_PERIODS * PADDING <= peak < len(power) - 1:
        raise PitchError(
            f"no regular target: its strongest period of {width * PADDING / max(peak, 1):.1f} px has"
            f" {power[lobe].sum() / power.sum():.0%} of the power in a picture of {width} px; show at least"
            f" {MIN_PERIODS} stripes of {MIN_PERIOD_PX} px or more"
        )
    below, at, above = np.log(power[peak - 1 : peak + 2])
    return peak + 0.5 * float(below - above) / float(below - 2 * at + above)
