"""What every view has to be, in each width and colour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tests.browser.axe import violations
from tests.browser.browser import Browser

WIDTHS = (1280, 390)
_SMALL = (
    "[...document.querySelectorAll('a, button, select, input, summary')]"
    ".map(e => [e, (e.closest('label') ?? e).getBoundingClientRect()])"
    ".filter(([, r]) => r.width && (r.width < 24 || r.height < 24)).map(([e]) => e.outerHTML)"
)
_OUTSIDE = (
    "[...document.querySelectorAll('.panel :is(button, select, input), .aged .crossed')]"
    ".filter(e => e.getClientRects().length && !e.closest('.scroll')).map(e => [e, e.getBoundingClientRect(),"
    " (e.closest('.panel') ?? e).getBoundingClientRect(), e.parentElement.querySelector('.view')])"
    ".filter(([e, r, panel, view]) => r.right > panel.right + 1"
    " || e.matches('.crossed') && r.right > view.getBoundingClientRect().right + 1).map(([e]) => e.outerHTML)"
)


def looks(browser: Browser, show: Callable[[], None]) -> Iterator[tuple[int, str]]:
    """Every width and colour, the page shown anew in each width: colours change nothing but its style."""
    for width in WIDTHS:
        for look in ("grey", "dark", "forced"):
            browser.resize(width, 900, dark=look == "dark", forced=look == "forced")
            if look == "grey":
                show()
            yield width, look


def require_sound(browser: Browser, pictures: Path, name: str, show: Callable[[], None]) -> None:
    """`show` draws it; nothing is cut off, too small or without contrast, and pictures of it are kept."""
    for width, look in looks(browser, show):
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), (width, look)
        assert violations(browser) == [], (width, look)
        assert browser.evaluate(f"{_SMALL}.filter(e => !e.includes('skip'))") == [], (width, look)
        assert browser.evaluate(_OUTSIDE) == [], (width, look)
        browser.screenshot(pictures / f"{name}-{width}-{look}.png")
    assert browser.errors == []
