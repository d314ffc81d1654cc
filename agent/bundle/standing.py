"""How a model ranks beside a memory of good parts, as its bundle tells it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Standing(BaseModel):
    """Image AUROC of a model and of the yardstick on the same pictures, on which neither was trained."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model_auroc: float = Field(ge=0, le=1)
    yardstick_auroc: float = Field(ge=0, le=1, description="of a plain memory of good parts (PatchCore)")
    difference: tuple[float, float] = Field(
        description="95 % bootstrap interval of model less yardstick, drawn in pairs"
    )
    good: int = Field(ge=1, description="pictures")
    defective: int = Field(ge=1, description="pictures")
    source: str = Field(description="where these pictures come from")
    strides: tuple[int, ...] = Field(description="of the features that the yardstick remembers")

    @property
    def is_worse(self) -> bool:
        """True when chance does not explain that the yardstick ranks better."""
        return self.difference[1] < 0

    def words(self) -> str:
        """One sentence for people."""
        low, high = self.difference
        ranks = "better than" if low > 0 else "worse than" if self.is_worse else "about as well as"
        return (
            f"ranks {ranks} a plain memory of good parts: image AUROC {self.model_auroc:.3f} against "
            f"{self.yardstick_auroc:.3f}, difference {low:+.3f} to {high:+.3f}, on {self.good} good and "
            f"{self.defective} defective pictures ({self.source})"
        )
