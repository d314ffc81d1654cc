"""Every check there is, in the order in which they are done and told."""

from __future__ import annotations

from agent.doctor.check import Check
from agent.doctor.checks import bundle, engine, outbox, settings

ENGINE_S = 180.0

CHECKS: tuple[Check, ...] = (
    Check(family="settings", name="file", look=settings.file),
    Check(family="settings", name="files named", look=settings.named, within_s=60.0),
    Check(family="bundle", name="digests", look=bundle.digests, within_s=60.0),
    Check(family="bundle", name="trust", look=bundle.trust, within_s=60.0),
    Check(family="engine", name="golden scores", look=engine.golden, within_s=ENGINE_S),
    Check(family="engine", name="packages", look=engine.packages),
    Check(family="outbox", name="place", look=outbox.place),
    Check(family="outbox", name="integrity", look=outbox.integrity),
    Check(family="outbox", name="waiting", look=outbox.waiting),
)
FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(check.family for check in CHECKS))
