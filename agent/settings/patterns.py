"""Patterns of part ids: regular expressions whose cost is bounded, and of which two can be compared.

The whole id has to match. There are characters, `.`, classes such as `[A-Z0-9_-]` and `[^-]`, `\\d` and `\\w`
(of ASCII), `\\` before a sign that is meant as itself, groups, `|`, and `? * + {m} {m,} {m,n}`; nothing else.
A pattern becomes its positions (Glushkov's automaton), so that an id costs as many steps as it has
characters, times the positions that are alive, whatever the pattern.
"""

from __future__ import annotations

import string
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

MAX_PATTERN = 200
MAX_POSITIONS = 256
MAX_DEPTH = 16
MAX_STEPS = 1_000_000  # of comparing all patterns of a file, about a second
LAST = 0x10FFFF

Chars: TypeAlias = tuple[tuple[int, int], ...]  # ranges of code points, ascending, ends included

ANY: Chars = ((0, LAST),)
DIGITS: Chars = ((48, 57),)
WORDS: Chars = ((48, 57), (65, 90), (95, 95), (97, 122))
_SHOWN = [ord(one) for one in string.digits + string.ascii_letters + "-_ "]


class PatternError(ValueError):
    """What is wrong with a pattern, and where."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """The positions of a pattern: which begin, which end, and which follow each."""

    text: str
    chars: tuple[Chars, ...]
    first: frozenset[int]
    last: frozenset[int]
    follow: tuple[frozenset[int], ...]
    is_empty_too: bool

    def matches(self, word: str) -> bool:
        """Whether the whole of it does."""
        if not word:
            return self.is_empty_too
        alive: Iterable[int] = self.first
        reached: set[int] = set()
        for number, letter in enumerate(word):
            if number:
                alive = set().union(*(self.follow[one] for one in reached))
            code = ord(letter)
            reached = {one for one in alive if _has(self.chars[one], code)}
            if not reached:
                return False
        return not reached.isdisjoint(self.last)


@dataclass(slots=True)
class Budget:
    """What comparing may cost at most."""

    steps: int = MAX_STEPS

    def spend(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise PatternError("are too complex to be compared; write simpler patterns")


def common(one: Pattern, other: Pattern, budget: Budget) -> str | None:
    """A word that both match, as short as there is; None where there is none. Raises PatternError."""
    before: dict[tuple[int, int], tuple[tuple[int, int] | None, int]] = {}
    waiting: deque[tuple[int, int]] = deque()

    def reach(pairs: Iterable[tuple[int, int]], origin: tuple[int, int] | None) -> None:
        for pair in pairs:
            budget.spend()
            letter = _shared(one.chars[pair[0]], other.chars[pair[1]])
            if pair not in before and letter is not None:
                before[pair] = (origin, letter)
                waiting.append(pair)

    reach(((a, b) for a in one.first for b in other.first), None)
    while waiting:
        pair = waiting.popleft()
        if pair[0] in one.last and pair[1] in other.last:
            letters, at = [], pair
            while True:
                origin, letter = before[at]
                letters.append(chr(letter))
                if origin is None:
                    return "".join(reversed(letters))
                at = origin
        reach(((a, b) for a in one.follow[pair[0]] for b in other.follow[pair[1]]), pair)
    return None


def parse(text: str) -> Pattern:
    """The pattern in `text`. Raises PatternError."""
    if not 0 < len(text) <= MAX_PATTERN:
        raise PatternError(f"has {len(text)} characters; write 1 to {MAX_PATTERN}")
    reader = _Reader(text)
    node = reader.alternatives(0)
    if reader.rest():
        raise reader.error(f"{reader.rest()[0]!r} closes nothing; write \\{reader.rest()[0]} for the sign")
    if (size := _size(node)) > MAX_POSITIONS:
        raise PatternError(
            f"has {size} positions with its repetitions written out; {MAX_POSITIONS} are the most"
        )
    made = _Positions()
    is_empty_too, first, last = made.add(node)
    return Pattern(
        text=text,
        chars=tuple(made.chars),
        first=first,
        last=last,
        follow=tuple(frozenset(one) for one in made.follow),
        is_empty_too=is_empty_too,
    )


@dataclass(frozen=True, slots=True)
class _One:
    chars: Chars


@dataclass(frozen=True, slots=True)
class _Row:
    parts: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Either:
    parts: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Repeated:
    part: _Node
    low: int
    high: int | None  # None: for ever


_Node: TypeAlias = _One | _Row | _Either | _Repeated


@dataclass(slots=True)
class _Reader:
    text: str
    at: int = 0

    def rest(self) -> str:
        return self.text[self.at :]

    def error(self, words: str) -> PatternError:
        return PatternError(f"at character {self.at + 1}: {words}")

    def take(self) -> str:
        if self.at >= len(self.text):
            raise self.error("ends in the middle")
        self.at += 1
        return self.text[self.at - 1]

    def alternatives(self, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise self.error(f"groups in groups, deeper than {MAX_DEPTH}")
        parts = [self.row(depth)]
        while self.rest()[:1] == "|":
            self.at += 1
            parts.append(self.row(depth))
        return parts[0] if len(parts) == 1 else _Either(tuple(parts))

    def row(self, depth: int) -> _Node:
        parts: list[_Node] = []
        while self.rest() and self.rest()[0] not in "|)":
            parts.append(self.repeated(self.single(depth)))
        return _Row(tuple(parts))

    def single(self, depth: int) -> _Node:
        sign = self.take()
        if sign == "(":
            if self.rest()[:1] == "?":
                raise self.error("(? begins what is not known here; a group is ( ) alone")
            node = self.alternatives(depth + 1)
            if self.rest()[:1] != ")":
                raise self.error("( is not closed")
            self.at += 1
            return node
        if sign == "[":
            return _One(self.chars_of_class())
        if sign == ".":
            return _One(ANY)
        if sign == "\\":
            return _One(self.escaped())
        if sign in "?*+{}]^$":
            self.at -= 1
            raise self.error(f"{sign!r} stands alone; write \\{sign} for the sign")
        return _One(((ord(sign), ord(sign)),))

    def escaped(self) -> Chars:
        sign = self.take()
        if sign in "dw":
            return DIGITS if sign == "d" else WORDS
        if sign.isalnum():
            self.at -= 1
            raise self.error(f"\\{sign} is not known here; there are \\d, \\w, and \\ before a sign")
        return ((ord(sign), ord(sign)),)

    def chars_of_class(self) -> Chars:
        negated = self.rest()[:1] == "^"
        self.at += negated
        found: list[tuple[int, int]] = []
        while (sign := self.take()) != "]" or not found:
            if sign == "\\":
                found += self.escaped()
                continue
            low = high = ord(sign)
            if self.rest()[:1] == "-" and self.rest()[1:2] not in ("]", ""):
                self.at += 1
                high = ord(self.take())
                if high == ord("\\"):
                    high = self.escaped()[0][0]
                if high < low:
                    raise self.error(f"{chr(low)}-{chr(high)} runs backwards")
            found.append((low, high))
        return _complement(_merged(found)) if negated else _merged(found)

    def repeated(self, node: _Node) -> _Node:
        sign = self.rest()[:1]
        if sign not in ("?", "*", "+", "{"):
            return node
        self.at += 1
        low, high = {"?": (0, 1), "*": (0, None), "+": (1, None)}.get(sign) or self.count()
        if self.rest()[:1] in ("?", "*", "+", "{"):
            raise self.error(f"{self.rest()[0]!r} repeats a repetition; put a group around it")
        return _Repeated(node, low, high)

    def count(self) -> tuple[int, int | None]:
        inside, closed, _ = self.rest().partition("}")
        low, comma, high = inside.partition(",")
        if not closed or not _is_count(low) or (high and not _is_count(high)):
            raise self.error("{ begins a count such as {6}, {2,} or {2,6}; write \\{ for the sign")
        bounds = int(low), (int(high) if high else None) if comma else int(low)
        if bounds[1] is not None and bounds[1] < max(1, bounds[0]):
            raise self.error(f"{{{inside}}} counts backwards, or to nothing")
        self.at += len(inside) + 1
        return bounds


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3


def _size(node: _Node) -> int:
    match node:
        case _One():
            return 1
        case _Row(parts) | _Either(parts):
            return sum(_size(part) for part in parts)
        case _Repeated(part, low, high):
            return _size(part) * (max(low, 1) if high is None else high)


_Shape: TypeAlias = tuple[bool, frozenset[int], frozenset[int]]  # may be empty, first and last positions
_NOTHING: _Shape = (True, frozenset(), frozenset())


@dataclass(slots=True)
class _Positions:
    chars: list[Chars] = field(default_factory=list)
    follow: list[set[int]] = field(default_factory=list)

    def add(self, node: _Node) -> _Shape:
        match node:
            case _One(chars):
                self.chars.append(chars)
                self.follow.append(set())
                only = frozenset((len(self.chars) - 1,))
                return False, only, only
            case _Row(parts):
                shape = _NOTHING
                for part in parts:
                    shape = self._behind(shape, self.add(part))
                return shape
            case _Either(parts):
                shapes = [self.add(part) for part in parts]
                return (
                    any(one[0] for one in shapes),
                    frozenset().union(*(one[1] for one in shapes)),
                    frozenset().union(*(one[2] for one in shapes)),
                )
            case _Repeated(part, low, high):
                return self._copies(part, low, high)

    def _copies(self, part: _Node, low: int, high: int | None) -> _Shape:
        shape = _NOTHING
        count = max(low, 1) if high is None else high
        for number in range(count):
            is_empty_too, first, last = self.add(part)
            if high is None and number == count - 1:
                self._link(last, first)
            shape = self._behind(shape, (is_empty_too or number >= low, first, last))
        return shape

    def _behind(self, one: _Shape, other: _Shape) -> _Shape:
        self._link(one[2], other[1])
        return (
            one[0] and other[0],
            one[1] | other[1] if one[0] else one[1],
            one[2] | other[2] if other[0] else other[2],
        )

    def _link(self, last: frozenset[int], first: frozenset[int]) -> None:
        for position in last:
            self.follow[position] |= first


def _has(chars: Chars, code: int) -> bool:
    return any(low <= code <= high for low, high in chars)


def _shared(one: Chars, other: Chars) -> int | None:
    """A character of both, one that can be shown where there is one."""
    ranges = [(max(a, c), min(b, d)) for a, b in one for c, d in other if max(a, c) <= min(b, d)]
    if not ranges:
        return None
    return next((code for code in _SHOWN if _has(tuple(ranges), code)), ranges[0][0])


def _merged(ranges: list[tuple[int, int]]) -> Chars:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], high)
        else:
            merged.append((low, high))
    return tuple(merged)


def _complement(chars: Chars) -> Chars:
    found, begin = [], 0
    for low, high in chars:
        if begin < low:
            found.append((begin, low - 1))
        begin = high + 1
    return (*found, (begin, LAST)) if begin <= LAST else tuple(found)
