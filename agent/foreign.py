"""Text that others wrote: file names, labels, manifests, what brokers and cameras say."""

from __future__ import annotations

import unicodedata

# Controls, invisible formats (text direction, zero width), surrogates, private, unassigned, line ends.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def shown(text: str) -> str:
    """One printable line for a terminal, log or error: what cannot be seen is escaped as Python writes it.

    Print it with markup off: brackets stay as they are.
    """
    if text.isprintable():  # every path of a bundle passes here at each opening
        return text
    return "".join(
        ascii(character)[1:-1] if unicodedata.category(character) in _UNSEEN else character
        for character in text
    )


def stored(text: str) -> str:
    """What UTF-8 can hold, for JSON and topics: a byte of a name that was no UTF-8 becomes `?`."""
    return text.encode(errors="replace").decode()
