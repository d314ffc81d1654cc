"""What a defect may be called: one spelling for one word, and nothing that could be markup. Pure."""

from __future__ import annotations

import unicodedata
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

LONGEST_LABEL = 48
# How lists and folders of others name good parts.
GOOD_WORDS = frozenset({"0", "0.0", "good", "ok", "normal", "pass", "passed"})
_SIGNS = frozenset(" _-.+,()")  # besides letters and digits of any script


def _label(text: str) -> str:
    """As NFC. Raises ValueError."""
    made = unicodedata.normalize("NFC", text)
    if not 1 <= len(made) <= LONGEST_LABEL or made != made.strip() or "  " in made:
        raise ValueError(f"a label has 1 to {LONGEST_LABEL} characters, and no blank at either end or two")
    if strange := [sign for sign in made if not (sign.isalnum() or is_accent(sign) or sign in _SIGNS)]:
        raise ValueError(f"{strange[0]!a} cannot stand in a label; use letters, digits and _ - . + , ( )")
    if not made[0].isalnum():
        raise ValueError("a label begins with a letter or digit")
    if made.casefold() in GOOD_WORDS:
        raise ValueError(f"{made} is no label of a defect; say right or wrong")
    return made


def is_accent(sign: str) -> bool:
    """Whether it belongs to the letter before it, as in scripts that write vowels so."""
    return unicodedata.category(sign) in ("Mn", "Mc")


Label: TypeAlias = Annotated[str, Field(min_length=1, max_length=LONGEST_LABEL), AfterValidator(_label)]
