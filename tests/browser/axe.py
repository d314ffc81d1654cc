"""axe-core in the page under test: what it finds, one line for each element.

VERSION comes from npm, where it reaches its registry, and stays in the cache of the user; elsewhere
the older one looks that make test installs from PyPI.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tests.browser.browser import Browser

VERSION = "4.14.1"
SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
KEPT = Path.home() / ".cache" / "plumbline-tests" / f"axe-core-{VERSION}.js"
FETCH_S = 120

RUN = """(() => {
  const left = ['wcag2aaa', 'deprecated'];
  const told = axe.getRules().filter(rule => !rule.tags.some(tag => left.includes(tag)));
  return axe.run({runOnly: {type: 'rule', values: told.map(rule => rule.ruleId)}}).then(found =>
    found.violations.flatMap(rule => rule.nodes.map(node =>
      `${rule.id} (${rule.impact}): ${node.target}: ${node.failureSummary}`)));
})()"""


def violations(browser: Browser) -> list[str]:
    """Of every rule, also experimental ones such as label-content-name-mismatch, but those of level AAA."""
    if not browser.evaluate("'axe' in window"):
        browser.evaluate(f"{_source()}; 0")
    found: list[str] = browser.evaluate(RUN)
    return found


@cache
def _source() -> str:
    for look in (_kept, _fetched):
        found = look()
        if found is not None:
            return found.decode()
    package = find_spec("axe_playwright_python")
    assert package is not None and package.origin is not None, "make test installs axe-playwright-python"
    return (Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8")


def _kept() -> bytes | None:
    try:
        return _sound(KEPT.read_bytes())
    except OSError:
        return None


def _fetched() -> bytes | None:
    npm = shutil.which("npm")
    if npm is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(
                [npm, "pack", "--silent", f"axe-core@{VERSION}"],
                cwd=folder,
                check=True,
                capture_output=True,
                timeout=FETCH_S,
            )
            with tarfile.open(Path(folder) / f"axe-core-{VERSION}.tgz") as archive:
                member = archive.extractfile("package/axe.min.js")
                found = None if member is None else _sound(member.read())
        except (OSError, subprocess.SubprocessError, tarfile.TarError, KeyError):
            return None
    if found is not None:
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_bytes(found)
    return found


def _sound(data: bytes) -> bytes | None:
    return data if hashlib.sha256(data).hexdigest() == SHA256 else None
