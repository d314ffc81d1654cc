"""Pieces in any order, lost, doubled and forged: what is given out is the file, once, from its first byte."""

from __future__ import annotations

import hashlib
import itertools
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.contract.chunks import Chunk, ChunkRequest, encode_chunk
from agent.remote.transport.pull import ANSWER_S, LEAST_BYTES, SILENCE_S, WINDOW, Pull
from agent.remote.transport.source import Lost

BUNDLE = "b" * 64
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["give", "give", "give", "lose", "twice", "spoil", "stand"]), st.integers(0, 99)
    ),
    max_size=200,
)


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(0, 60_000),
    offset=st.integers(0, 60_000),
    count=st.integers(LEAST_BYTES, 20_000),
    most=st.integers(1_000, 30_000),
    actions=ACTIONS,
)
def test_any_order_of_answers_gives_the_file_unless_none_was_right_for_long(
    size: int, offset: int, count: int, most: int, actions: list[tuple[str, int]]
) -> None:
    offset = min(offset, size)
    content = bytes(number % 251 for number in range(size))
    ids, now_ns, right_ns = itertools.count(), 0, 0
    pull = Pull(
        bundle=BUNDLE,
        file="f",
        given=offset,
        limit=size,
        count=count,
        now_ns=now_ns,
        new_id=lambda: f"{next(ids):016x}",
    )
    taken, waiting = b"", list[ChunkRequest]()
    plan = iter(actions)
    while pull.size is None or pull.given < pull.size:
        try:
            waiting += pull.wanted(now_ns)
        except Lost:
            assert now_ns - right_ns > SILENCE_S * 1e9
            return
        what, which = next(plan, ("give", 0))
        if what == "stand" or not waiting:
            now_ns += round(ANSWER_S * 1.1e9)
            what = "stand" if not waiting else "give"
        if what != "stand":
            request = waiting.pop(which % len(waiting))
            answers = {"lose": 0, "twice": 2}.get(what, 1)
            for _ in range(answers):
                pull.hear(answer(request, content, most, spoilt=what == "spoil"), now_ns)
            if what in ("give", "twice"):
                right_ns = now_ns
        while pull.has_next:
            taken += pull.next()
        assert all(one.offset < offset + len(taken) + (WINDOW + 1) * count for one in waiting)  # bounded
        now_ns += 1_000_000
    assert taken == content[offset:]


def answer(request: ChunkRequest, content: bytes, most: int, *, spoilt: bool) -> bytes:
    piece = content[request.offset : request.offset + min(request.count, most)]
    ends = request.offset + len(piece)
    header = Chunk(
        request=request.request,
        bundle=BUNDLE,
        file="f",
        offset=request.offset,
        sha256=hashlib.sha256(piece + b"?" * spoilt).hexdigest(),
        size_bytes=len(content),
        fin=hashlib.sha256(content).hexdigest() if ends == len(content) else None,
    )
    return encode_chunk(header, piece)


@pytest.mark.parametrize("bytes_per_s", [5_000, 20_000, 200_000, 5_000_000])
def test_a_slow_way_carries_little_twice(bytes_per_s: int) -> None:
    """First in, first out, as a broker and its line are."""
    content = bytes(number % 251 for number in range(400_000))
    ids, now_s, free_s, carried = itertools.count(), 0.0, 0.0, 0
    way: deque[tuple[float, bytes]] = deque()
    pull = Pull(
        bundle=BUNDLE,
        file="f",
        given=0,
        limit=len(content),
        count=100_000,
        now_ns=0,
        new_id=lambda: f"{next(ids):016x}",
    )
    taken = b""
    while pull.size is None or pull.given < pull.size:
        for request in pull.wanted(round(now_s * 1e9)):
            payload = answer(request, content, 100_000, spoilt=False)
            free_s = max(free_s, now_s) + len(payload) / bytes_per_s
            carried += len(payload)
            way.append((free_s, payload))
        now_s += 0.1
        while way and way[0][0] <= now_s:
            pull.hear(way.popleft()[1], round(now_s * 1e9))
        while pull.has_next:
            taken += pull.next()
    assert taken == content
    assert carried < (1.02 if bytes_per_s > 50_000 else 2.5) * len(content)
