"""Tries to sign in are counted in bounded memory, and nobody is pushed out of it by a flood."""

from __future__ import annotations

from agent.page.sessions.limits import AT_ONCE, ONE_MORE_S, REMEMBERED, SignInLimits


def test_a_flood_from_many_addresses_with_many_names_is_bounded_in_memory() -> None:
    limits = SignInLimits()
    for number in range(10_000):
        limits.wait_s(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", f"name{number}", {"emma"}, 0.0)
    assert limits.remembered <= 2 * REMEMBERED


def test_many_addresses_together_guess_at_one_account_no_more_often() -> None:
    limits = SignInLimits()
    let = sum(
        limits.wait_s(f"10.0.{one >> 8}.{one & 255}", "emma", {"emma"}, 0.0) == 0 for one in range(9000)
    )
    assert let == AT_ONCE
    for number in range(5000):
        limits.wait_s(f"10.1.{number >> 8}.{number & 255}", f"name{number}", {"emma"}, 0.0)
    assert limits.wait_s("10.9.9.9", "emma", {"emma"}, 0.0) > 0
    assert limits.wait_s("10.9.9.8", "emma", {"emma"}, ONE_MORE_S) == 0


def test_who_signed_in_before_from_an_address_does_not_wait_for_strangers() -> None:
    limits = SignInLimits()
    assert limits.wait_s("10.0.0.1", "emma", {"emma"}, 0.0) == 0
    limits.succeeded("10.0.0.1", "emma")
    for number in range(100):
        limits.wait_s(f"10.2.0.{number}", "emma", {"emma"}, 0.0)
    assert limits.wait_s("10.0.0.1", "emma", {"emma"}, 0.0) == 0


def test_all_addresses_of_one_ipv6_network_are_one() -> None:
    limits = SignInLimits()
    let = sum(limits.wait_s(f"fd00::{one:x}", f"n{one}", (), 0.0) == 0 for one in range(1, 100))
    assert let == AT_ONCE
