"""axe-core in the page under test: what it finds, one line for each element."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tests.browser.browser import Browser

RUN = """(() => {
  const left = ['wcag2aaa', 'deprecated'];
  const told = axe.getRules().filter(rule => !rule.tags.some(tag => left.includes(tag)));
  return axe.run({runOnly: {type: 'rule', values: told.map(rule => rule.ruleId)}}).then(found =>
    found.violations.flatMap(rule => rule.nodes.map(node =>
      `${rule.id} (${rule.impact}): ${node.target}: ${node.failureSummary}`)));
})()"""


def violations(browser: Browser) -> list[str]:
    """Of every rule, also experimental ones such as label-content-name-mismatch, but those of level AAA."""
    package = find_spec("axe_playwright_python")
    assert package is not None and package.origin is not None, "make test installs axe-playwright-python"
    source = (Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8")
    browser.evaluate(f"{source}; 0")
    found: list[str] = browser.evaluate(RUN)
    return found
