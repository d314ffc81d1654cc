"""A cached engine is whole, ours and of this key, or it is built again; a crash leaves no half of one."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from agent.bundle.bundle import open_bundle
from agent.cli.main import app
from agent.engines.cache import CacheError, EngineCache, NotCompiled, is_cached, open_cached
from agent.engines.cache_entry import MAGIC, Entry, EntryDamaged, Key, decode, encode
from agent.engines.engine import EngineError
from agent.engines.openvino import open_openvino
from tests.agent.engines.small_bundle import small_tiles, write_small

KEY = Key(
    engine="tensorrt",
    bundle="cells",
    bundle_sha256="ab" * 32,
    graph_sha256="cd" * 32,
    runtime="tensorrt 10.3.0",
    device="Orin",
    capability="8.7",
    driver="12.6",
    precision="tf32",
    batches=(4, 1),
    flags=("workspace_bytes=1",),
)
ENTRY = Entry(parts={"batch-4": b"four" * 9, "batch-1": b"one"}, build_s=41.5)
CAP = 1_000_000


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines", CAP)


def path_of(cache: EngineCache) -> Path:
    (one,) = cache.entries()
    return one.path


@pytest.mark.parametrize("field", list(Key.__dataclass_fields__))
def test_every_field_of_the_key_makes_another_engine(field: str) -> None:
    value: object = (1,) if field == "batches" else ("x",) if field == "flags" else "other"
    other = replace(KEY, **{field: value})
    assert other.digest() != KEY.digest()
    with pytest.raises(EntryDamaged, match="another bundle, runtime or device"):
        decode(encode(KEY, ENTRY), other)


@pytest.mark.slow
@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.binary(max_size=64), max_size=4), st.floats(0, 1e6)
)
def test_what_is_stored_is_what_comes_back(parts: dict[str, bytes], build_s: float) -> None:
    entry = Entry(parts=parts, build_s=build_s)
    assert decode(encode(KEY, entry), KEY) == entry


@given(st.data())
def test_no_cut_and_no_changed_byte_goes_unseen(data: st.DataObject) -> None:
    whole = encode(KEY, ENTRY)
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 255))
    for damaged in (whole[:place], bytes(changed), whole + b"more"):
        with pytest.raises(EntryDamaged):
            decode(damaged, KEY)


def test_an_entry_is_private_and_there_after_it_was_stored(cache: EngineCache) -> None:
    assert cache.load(KEY) is None
    cache.store(KEY, ENTRY)
    assert cache.load(KEY) == ENTRY
    path = path_of(cache)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_others_may_write_is_not_trusted(cache: EngineCache) -> None:
    cache.store(KEY, ENTRY)
    path_of(cache).chmod(0o666)
    with pytest.raises(EntryDamaged, match="another user owns it or may write it"):
        cache.load(KEY)
    assert not is_cached(cache, KEY)
    assert cache.entries() == []


def test_a_folder_that_cannot_be_written_is_named_and_the_engine_serves_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = EngineCache(tmp_path / "file" / "engines", CAP)
    with pytest.raises(CacheError, match="cannot be written"):
        cache.store(KEY, ENTRY)
    served = open_cached(cache, KEY, build=lambda: ENTRY.parts, load=lambda entry, _: entry.parts)
    assert served == ENTRY.parts
    assert cache.trouble is not None and "cannot be" in cache.trouble


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    entry = Entry(parts={"batch-1": bytes(1000)}, build_s=0.0)
    keys = [replace(KEY, bundle=f"bundle{number}") for number in range(4)]
    cache = EngineCache(tmp_path, 3 * len(encode(keys[0], entry)) + 100)
    for number, key in enumerate(keys[:3]):
        cache.store(key, entry)
        os.utime(tmp_path / key.file_name(), (number, number))
    assert cache.load(keys[0]) is not None  # used: now the newest
    cache.store(keys[3], entry)
    assert [cache.load(key) is not None for key in keys] == [True, False, True, True]


def test_an_engine_larger_than_the_cap_is_refused_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"raise engine\.cache_max_bytes"):
        EngineCache(tmp_path, 100).store(KEY, ENTRY)


def test_pruning_takes_what_is_damaged_and_what_a_dead_process_left(cache: EngineCache) -> None:
    cache.store(KEY, ENTRY)
    good = path_of(cache)
    torn = good.with_name("torn.engine")
    torn.write_bytes(good.read_bytes()[:-5])
    foreign = good.with_name("foreign.engine")
    foreign.write_bytes(b"\x80\x04 pickled")
    old = good.with_name("tensorrt-x.partial")
    old.write_bytes(b"half")
    os.utime(old, (0, 0))
    fresh = good.with_name("tensorrt-y.partial")
    fresh.write_bytes(b"being written")
    assert {one.path for one in cache.entries() if one.damage} == {torn, foreign}
    assert set(cache.prune()) == {torn, foreign, old}
    assert sorted(good.parent.iterdir()) == sorted([good, fresh])


def test_a_kill_while_an_engine_is_written_leaves_no_half_of_it(cache: EngineCache) -> None:
    cache.store(KEY, ENTRY)
    child = os.fork()
    if child == 0:  # writes the file and dies before its name is given
        os.fsync = lambda handle: os._exit(0)  # type: ignore[assignment]
        cache.store(KEY, Entry(parts={"batch-1": b"new"}, build_s=1.0))
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cache.load(KEY) == ENTRY
    assert len(list(path_of(cache).parent.iterdir())) == 2  # and a partial file, for prune


def test_a_cached_engine_that_does_not_prove_itself_is_built_again(cache: EngineCache) -> None:
    cache.store(KEY, Entry(parts={"batch-1": b"built by a liar"}, build_s=1.0))

    def load(entry: Entry, from_cache: bool) -> Mapping[str, bytes]:
        if entry.parts != ENTRY.parts:
            raise EngineError("golden scores differ")
        return entry.parts

    assert open_cached(cache, KEY, build=lambda: ENTRY.parts, load=load) == ENTRY.parts
    found = cache.load(KEY)
    assert found is not None and found.parts == ENTRY.parts


def test_an_engine_that_does_not_prove_itself_is_never_kept(cache: EngineCache) -> None:
    def load(entry: Entry, from_cache: bool) -> None:
        raise EngineError("golden scores differ")

    with pytest.raises(EngineError, match="golden scores differ"):
        open_cached(cache, KEY, build=lambda: ENTRY.parts, load=load)
    assert cache.entries() == []


def test_where_nothing_may_be_built_a_missing_engine_is_said_to_be_missing(cache: EngineCache) -> None:
    with pytest.raises(NotCompiled):
        open_cached(cache, KEY, build=lambda: ENTRY.parts, load=lambda entry, _: entry.parts, may_build=False)


@pytest.mark.parametrize("damage", ["none", "torn", "garbage", "empty"])
def test_openvino_starts_from_its_cache_and_survives_any_damage_to_it(tmp_path: Path, damage: str) -> None:
    bundle = open_bundle(write_small(tmp_path / "small"))
    cache = EngineCache(tmp_path / "engines", 100_000_000)
    first = open_openvino(bundle, precision="f32", threads=1, cache=cache)
    (one,) = cache.entries()
    if damage == "torn":
        one.path.write_bytes(one.path.read_bytes()[: one.size_bytes // 2])
    elif damage == "empty":
        one.path.write_bytes(b"")
    elif damage == "garbage":  # whole and signed off, yet nothing that OpenVINO knows
        head = one.path.read_bytes()
        key = _key_of(head)
        garbage = Entry(parts={"batch-4": b"x" * 99, "batch-1": b"y"}, build_s=0.0)
        one.path.write_bytes(encode(key, garbage))
    again = open_openvino(bundle, precision="f32", threads=1, cache=cache)
    assert again.describe().from_cache == (damage == "none")
    assert np.array_equal(first.run(small_tiles()).scores, again.run(small_tiles()).scores)
    third = open_openvino(bundle, precision="f32", threads=1, cache=cache)
    assert third.describe().from_cache


def test_another_bundle_or_precision_is_another_engine(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "engines", 100_000_000)
    bundle = open_bundle(write_small(tmp_path / "small"))
    open_openvino(bundle, precision="f32", threads=1, cache=cache)
    other = open_openvino(bundle, precision="bf16", threads=1, cache=cache)
    assert not other.describe().from_cache
    assert len(cache.entries()) == 2


def _key_of(data: bytes) -> Key:
    from agent.engines.cache_entry import read_header

    found = read_header(data)[0]["key"]
    return Key(**{**found, "batches": tuple(found["batches"]), "flags": tuple(found["flags"])})


def rehashed(header: object, parts: bytes = b"") -> bytes:
    line = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return MAGIC + hashlib.sha256(line).hexdigest().encode() + b"\n" + line + b"\n" + parts


GOOD = json.loads(encode(KEY, ENTRY).split(b"\n")[2])
PART = GOOD["parts"][0]
HEADERS = [
    {},
    [],
    None,
    "text",
    b"no json",
    b"[" * 60_000,
    *({name: GOOD[name] for name in GOOD if name != left_out} for left_out in GOOD),
    *({**GOOD, "key": {**GOOD["key"], name: value}} for name in GOOD["key"] for value in (None, 5, {})),
    *({**GOOD, "parts": [{**PART, name: value}]} for name in PART for value in (None, [], 1.5, -1)),
    *({**GOOD, "build_s": value} for value in (None, "x", -1, 1e300, [])),
    {**GOOD, "key": {}},
    {**GOOD, "parts": {}},
    {**GOOD, "parts": [PART, PART]},
    {**GOOD, "parts": [{**PART, "bytes": 1 << 60}]},
    {**GOOD, "more": 1},
]


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: str(header)[:60])
def test_a_header_of_another_shape_is_not_ours_though_its_digest_fits(
    cache: EngineCache, header: object
) -> None:
    cache.store(KEY, ENTRY)
    path = path_of(cache)
    path.write_bytes(rehashed(header, b"four" * 9))
    assert [one.damage is not None for one in cache.entries()] == [True]
    with pytest.raises(EntryDamaged, match=r"not ours: .*built anew"):
        cache.load(KEY)
    assert not is_cached(cache, KEY)
    assert cache.entries() == []


IN_ITS_PLACE = ["folder", "full folder", "pipe", "socket", "loop", "link", "dangling", "huge"]


def put(kind: str, path: Path) -> None:
    match kind:
        case "folder":
            path.mkdir()
        case "full folder":
            (path / "mine").mkdir(parents=True)
        case "pipe":
            os.mkfifo(path)
        case "socket":
            os.mknod(path, 0o600 | stat.S_IFSOCK)
        case "loop":
            path.symlink_to(path)
        case "link":
            path.with_name("elsewhere").write_bytes(encode(KEY, ENTRY))
            path.symlink_to(path.with_name("elsewhere"))
        case "dangling":
            path.symlink_to("nowhere")
        case _:
            with path.open("wb") as file:
                file.truncate(1 << 40)


@pytest.mark.parametrize("kind", IN_ITS_PLACE)
def test_whatever_stands_in_an_engine_s_place_is_not_ours_and_the_engine_is_built_anew(
    cache: EngineCache, kind: str
) -> None:
    cache.store(KEY, ENTRY)
    path = path_of(cache)
    path.unlink()
    put(kind, path)
    (listed,) = cache.entries()
    assert listed.damage is not None
    served = open_cached(cache, KEY, build=lambda: ENTRY.parts, load=lambda entry, _: entry.parts)
    assert served == ENTRY.parts and cache.trouble is None
    found = cache.load(KEY)
    assert found is not None and found.parts == ENTRY.parts
    assert kind != "full folder" or (path.with_suffix(".not-ours") / "mine").is_dir()
    assert kind != "link" or path.with_name("elsewhere").exists()


@pytest.mark.parametrize("kind", IN_ITS_PLACE)
def test_list_and_prune_survive_it_and_name_it(tmp_path: Path, kind: str) -> None:
    (tmp_path / "engines").mkdir()
    put(kind, tmp_path / "engines" / "x.engine")
    (tmp_path / "engines" / "y.partial").mkdir()
    os.utime(tmp_path / "engines" / "y.partial", (0, 0))
    (tmp_path / "s.yaml").write_text("bundle: x\nengine:\n  cache: engines\n")
    listed = CliRunner().invoke(app, ["engines", "list", "-c", str(tmp_path / "s.yaml")])
    assert listed.exit_code == 0 and "x.engine" in listed.output and "not ours" in listed.output
    pruned = CliRunner().invoke(app, ["engines", "prune", "-c", str(tmp_path / "s.yaml")])
    assert pruned.exit_code == 0 and "x.engine" in pruned.output
    assert "folder" in kind or not (tmp_path / "engines" / "x.engine").is_symlink()


def test_what_a_header_claims_is_shown_escaped(tmp_path: Path) -> None:
    key = replace(KEY, bundle="\x1b[31m[red]", device="[/x]\n", runtime="\r", engine="\x07")
    EngineCache(tmp_path, CAP).store(replace(KEY), ENTRY)
    (tmp_path / "x.engine").write_bytes(encode(key, ENTRY))
    (tmp_path / "x.engine").chmod(0o600)
    (tmp_path / "s.yaml").write_text("bundle: x\nengine:\n  cache: .\n")
    listed = CliRunner().invoke(app, ["engines", "list", "-c", str(tmp_path / "s.yaml")])
    assert listed.exit_code == 0 and "\x1b" not in listed.output
    assert r"\x07 tf32 for \x1b[31m[red]: \r, [/x]\n" in listed.output


def test_an_entry_whose_parts_have_other_names_is_built_anew(tmp_path: Path) -> None:
    bundle = open_bundle(write_small(tmp_path / "small"))
    cache = EngineCache(tmp_path / "engines", 100_000_000)
    open_openvino(bundle, precision="f32", threads=1, cache=cache).close()
    (one,) = cache.entries()
    header = json.loads(one.path.read_bytes().split(b"\n")[2])
    parts = one.path.read_bytes().split(b"\n", 3)[3]
    for part in header["parts"]:
        part["name"] += "x"
    one.path.write_bytes(rehashed(header, parts))
    engine = open_openvino(bundle, precision="f32", threads=1, cache=cache)
    assert not engine.describe().from_cache
    engine.close()


def test_what_another_process_serves_by_is_read_and_never_replaced_or_removed(tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    EngineCache(folder, CAP).store(KEY, ENTRY)
    before = [path.read_bytes() for path in folder.iterdir()]
    guest = EngineCache(folder, CAP, protected={KEY.bundle_sha256})
    guest.discard(KEY)
    guest.store(KEY, Entry(parts={"batch-4": b"mine", "batch-1": b"own"}, build_s=1.0))
    assert guest.load(KEY) == ENTRY
    guest.prune(max_bytes=0)
    assert [path.read_bytes() for path in folder.iterdir()] == before


def test_an_engine_that_fits_beside_what_serves_makes_only_others_go(tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    size = len(encode(KEY, ENTRY))
    old = replace(KEY, bundle_sha256="01" * 32)
    for key in (KEY, old):  # the one that serves was used before the other
        EngineCache(folder, CAP).store(key, ENTRY)
    new = replace(KEY, bundle_sha256="02" * 32)
    EngineCache(folder, 2 * size + 10, protected={KEY.bundle_sha256}).store(new, ENTRY)
    assert {one.bundle_sha256 for one in EngineCache(folder, CAP).entries()} == {
        KEY.bundle_sha256,
        new.bundle_sha256,
    }
    with pytest.raises(CacheError, match=r"do not fit beside the \d+ of what serves; raise engine.cache_max"):
        EngineCache(folder, size + 10, protected={KEY.bundle_sha256}).store(old, ENTRY)
    assert EngineCache(folder, CAP).load(KEY) == ENTRY
