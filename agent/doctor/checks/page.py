"""Who may do what at the page, and who can reach it."""

from __future__ import annotations

from collections.abc import Iterator

from agent.doctor.finding import Said, failed, note, ok, skipped
from agent.doctor.site import Site
from agent.errors import PlumblineError
from agent.page.opened import accounts_of, check_known, doubts, is_on_loopback

REMEDY = "make accounts anew with plumbline page user add"


def accounts(site: Site) -> Iterator[Said]:
    settings = site.settings
    if not settings.page.enabled:
        yield skipped("the page is not served")
        return
    try:
        check_known(settings)
        found = accounts_of(settings)
    except PlumblineError as error:
        yield failed(PlumblineError(str(error).removeprefix("page: ")), REMEDY)
        return
    told = [note(words, remedy) for words, remedy in doubts(settings, found)]
    yield from told
    if not told:
        where = "this machine alone reaches it" if is_on_loopback(settings.page) else settings.page.host
        yield ok(f"{where}; {len(found.accounts)} accounts, {len(found.kiosks)} kiosks")
