"""Accounts that others can read, and a page that others reach: said before anybody asks the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.doctor import references
from agent.doctor.checks import page
from agent.doctor.site import Site
from agent.page.sessions.accounts import AccountsFile, path_of
from agent.settings.settings import Settings
from tests.agent.doctor.sites import machine, site, states, told

PASSWORD = "belt stands at noon"
EVERYBODY = "0.0.0.0"


def station(folder: Path, **page: object) -> Site:
    return site(folder, on=machine(folder), page=page, outbox={"path": "outbox.sqlite3"})


def accounts_of(one: Site) -> AccountsFile:
    return AccountsFile(path_of(one.settings))


def problems(one: Site) -> dict[str, str]:
    found = references.problems(one.settings, lambda keys: keys == ("page",))
    return {".".join(map(str, keys)): words for keys, words in found}


def test_a_page_for_this_machine_alone_needs_no_accounts(tmp_path: Path) -> None:
    one = station(tmp_path)
    assert "this machine alone" in told(page.accounts, one, "ok").words
    assert problems(one) == {}


def test_a_page_that_is_not_served_is_not_looked_at(tmp_path: Path) -> None:
    assert states(page.accounts, site(tmp_path)) == ["skipped"]


def test_a_page_that_others_reach_without_anybody_known_is_wrong_before_it_starts(tmp_path: Path) -> None:
    one = station(tmp_path, host=EVERYBODY)
    said = told(page.accounts, one, "wrong")
    assert "nobody has an account" in said.words and "plumbline page user add" in said.remedy
    assert "nobody has an account" in problems(one)["page"]
    assert states(page.accounts, station(tmp_path, host=EVERYBODY, anonymous=True)) == ["ok"]


def test_a_file_that_other_users_can_read_is_wrong_with_its_remedy(tmp_path: Path) -> None:
    one = station(tmp_path)
    file = accounts_of(one)
    file.put("emma", "engineer", PASSWORD)
    assert states(page.accounts, one) == ["ok"]
    assert file.path is not None
    file.path.chmod(0o644)
    said = told(page.accounts, one, "wrong")
    assert "mode 0644" in said.words and "chmod 600" in said.remedy
    assert "mode 0644" in problems(one)["page"]


@pytest.mark.parametrize(
    ("role", "password", "where"),
    [("owner", None, "accounts.emma.role"), ("viewer", PASSWORD, "accounts.emma.password")],
)
def test_what_is_wrong_with_an_account_is_named_and_no_password_is_shown(
    tmp_path: Path, role: str, password: str | None, where: str
) -> None:
    one = station(tmp_path)
    file = accounts_of(one)
    file.put("emma", "engineer", PASSWORD)
    assert file.path is not None
    content = json.loads(file.path.read_text())
    content["accounts"]["emma"] |= {"role": role, **({} if password is None else {"password": password})}
    file.path.write_text(json.dumps(content))
    said = told(page.accounts, one, "wrong")
    assert where in said.words and "nobody is let in" in said.words
    assert PASSWORD not in said.words + said.remedy + str(problems(one))
    assert where in problems(one)["page"]


def test_what_works_and_should_be_known_is_noted(tmp_path: Path) -> None:
    accounts_of(station(tmp_path)).put("emma", "operator", PASSWORD)
    proxy = {"addresses": ["10.0.0.0/8", "10.1.2.3", "10.1.3.0/24", "fd00::/32"]}
    one = station(tmp_path, host=EVERYBODY, proxy=proxy)
    words = [said.words for said in page.accounts(one)]
    assert states(page.accounts, one) == ["note", "note", "note"]
    assert "without encryption" in words[0]
    assert "10.0.0.0/8" in words[1] and "fd00::/32" in words[2]
    assert "nobody who has an account is an engineer" in told(page.accounts, station(tmp_path), "note").words


@pytest.mark.parametrize("one", ["0.0.0.0/0", "::/0"])
def test_everybody_is_no_proxy(one: str) -> None:
    with pytest.raises(ValueError, match="is everybody"):
        Settings.model_validate({"page": {"proxy": {"addresses": [one]}}})


def test_one_header_does_not_say_both_who_asks_and_what_he_may() -> None:
    with pytest.raises(ValueError, match="name two headers"):
        Settings.model_validate({"page": {"proxy": {"user_header": "X-Who", "role_header": "x-who"}}})
