"""Which recipes a station has in force, and how others come into force without another run of the agent."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import structlog

from agent.durable import replace_file, sync_folder
from agent.engines.switch import Switch
from agent.errors import PlumblineError
from agent.line.book import Book, ByProduct, Entry, OneRecipe, Refusal
from agent.line.line import Line
from agent.line.no_model import no_model
from agent.line.opened import NotOpenError, OpenedBundle, OpenedBundles
from agent.line.opening import Opener, head_of, opening
from agent.line.recipe import Recipe, make_recipe
from agent.settings.patterns import parse
from agent.settings.recipes import Recipe as RecipeSettings
from agent.settings.settings import Settings

log = structlog.get_logger()

MAX_NAME_BYTES = 64
NOTHING: Mapping[str, int] = MappingProxyType({})


class UnknownRecipeError(PlumblineError):
    """No recipe has this name; says which there are."""


class SwitchError(PlumblineError):
    """What was switched to does not outlive the agent; nothing was switched."""


class Recipes:
    """Of all lines of a station, over the bundles that are open; from any thread, but for `serve`.

    What was switched to outlives the agent in a small file: after a power cut no part is judged by the
    default of another product. A file that cannot be read switches to nothing that there is.
    """

    def __init__(
        self,
        wanted: Settings,
        bundles: OpenedBundles,
        station: OpenedBundle,
        *,
        of_recipes: Mapping[Path, OpenedBundle] | None = None,
        path: Path,
    ) -> None:
        """`station` is the bundle that the settings name for the whole station, or `no_model`.

        `of_recipes` are those that single recipes name; `path` keeps what was switched to.
        """
        self.bundles = bundles
        self._wanted = wanted
        self._station = station
        self._of_recipes = dict(of_recipes or {})
        self._missing: dict[Path, Refusal] = {}  # bundles that recipes name and that are not open
        self._opener = Opener(bundles, self._missing_paths, self._has_come, self._has_failed)
        self._path = path
        self._switched = _read(path)
        self._lines: Mapping[str, Line] = {}
        self._book = self._made(wanted, station)

    def serve(self, lines: Mapping[str, Line]) -> None:
        """These lines judge by them; to be called once, before they run."""
        self._lines = lines
        for line in lines.values():
            line.judge_by(self._book)

    @property
    def in_force(self) -> Recipe:
        """Of the station: by which its first line judges, of several the one for parts that say nothing.

        Each of the other lines follows at a boundary of its own.
        """
        return next((line.standing for line in self._lines.values()), self._book.standing)

    @property
    def opened(self) -> OpenedBundle:
        """The bundle in force."""
        with self.bundles.held() as there:
            return there.get(self.in_force.bundle_sha256, self._station)

    @property
    def station(self) -> OpenedBundle:
        """The station's bundle in force, by which recipes judge that name none of their own."""
        with self.bundles.held() as there:
            sha256 = next((line.station_sha256 for line in self._lines.values()), self._station.sha256)
            return there.get(sha256, self._station)

    @property
    def settings(self) -> Settings:
        """By which the lines judge."""
        return self._wanted

    @property
    def names(self) -> tuple[str, ...]:
        """Of the recipes in the settings."""
        return tuple(one.name for one in self._wanted.recipes)

    @property
    def switched(self) -> str | None:
        """The name that was switched to; None where the settings decide."""
        return self._switched

    def run(self, stop: threading.Event) -> None:
        """Until told to stop: bundles that recipes name are opened, and then judge."""
        self._opener.run(stop)

    def take_over(self, wanted: Settings, from_ns: Mapping[str, int] = NOTHING) -> None:
        """Have every line judge by these settings from its next frame or part on; the station's bundle stays.

        By camera, `from_ns` says when a frame must have been captured to be judged by them.
        A recipe whose bundle is not open judges once `run` has opened it; its parts are undecided until then.
        Raises BundleError or NotTrusted for one that cannot be opened at all; then nothing has changed.
        """
        with self.bundles.held():
            self._put_in_force(wanted, self._station, from_ns)

    def take_over_bundle(self, sha256: str) -> None:
        """Have every line judge by this bundle from its next frame or part on, in place of the station's.

        The one before is closed when no line judges by it, unless somebody keeps it. Recipes that name a
        bundle of their own go on with that. Raises NotOpenError; then nothing has changed.
        """
        with self.bundles.held() as there:
            if sha256 not in there:
                raise NotOpenError(f"bundle {sha256[:12]} is not open; open it before it takes over")
            self._put_in_force(self._wanted, there[sha256])

    def withdraw(self) -> None:
        """Have no line judge by the station's bundle, from its next frame or part on: undecided, no_model.

        Recipes that name a bundle of their own go on with that.
        """
        with self.bundles.held():
            self._put_in_force(self._wanted, no_model(self._wanted.bundle))

    def switch(self, name: str | None) -> None:
        """Have this recipe judge parts of which nothing else says the product; None: what the settings say.

        From each line's next part on. Raises UnknownRecipeError, or SwitchError when it could not be kept;
        then nothing has changed.
        """
        with self.bundles.held():
            if name is not None and name not in self.names:
                known = ", ".join(self.names) or "none: the settings have no section recipes"
                raise UnknownRecipeError(f"no recipe {name[:MAX_NAME_BYTES]!r}; there are {known}")
            _write(self._path, name)
            self._switched = name
            if isinstance(self._book, ByProduct):
                self._judge_by(replace(self._book, switched=name))
        log.info("recipe_switched", recipe=name)

    def needed(self) -> frozenset[str]:
        """The digests of bundles that recipes name, or lines judge by, or will with their next frame."""
        return frozenset((self._station.sha256, *(one.bundle_sha256 for one in self.judging())))

    def judging(self) -> tuple[Recipe, ...]:
        """Every recipe that may judge a part from now on."""
        return (*self._book.recipes, *(one for line in self._lines.values() for one in line.recipes()))

    def words(self) -> Iterator[str]:
        """What people should know of the engines behind the recipes, one sentence each."""
        if isinstance(self._book, ByProduct) and self._switched not in (None, *self.names):
            known = ", ".join(self.names)
            yield f"The recipe that was switched to is not in the settings; switch to one of {known}"
        with self._needed_ones() as ones:
            for one in ones:
                of = f"Bundle {one.bundle.manifest.name} ({one.sha256[:12]}): " if len(ones) > 1 else ""
                yield from (f"{of}{words}" for words in one.serving.words())
        for refusal in list(self._missing.values()):
            yield f"A recipe judges nothing: {refusal.detail}"

    def serves(self) -> dict[str, bool]:
        """Every engine that may serve the bundle in force, best first, and whether it is the one."""
        return self.opened.serving.serves

    def _put_in_force(
        self, wanted: Settings, station: OpenedBundle, from_ns: Mapping[str, int] = NOTHING
    ) -> None:
        try:
            book = self._made(wanted, station)
            self._wanted, self._station = wanted, station
        finally:
            named = {one.bundle for one in self._wanted.recipes}
            self._missing = {path: one for path, one in self._missing.items() if path in named}
        self._judge_by(book, from_ns)

    def _judge_by(self, book: Book, from_ns: Mapping[str, int] = NOTHING) -> None:
        for name, line in self._lines.items():
            line.judge_by(book, from_ns.get(name, 0))
        self._book = book

    def _made(self, wanted: Settings, station: OpenedBundle) -> Book:
        if not wanted.recipes:
            return OneRecipe(make_recipe(wanted, station.bundle, station.engine))
        entries = {one.name: self._entry(wanted, station, one) for one in wanted.recipes}
        default = next((one.name for one in wanted.recipes if one.is_default), None)
        return ByProduct(
            entries=entries, default=default, switched=self._switched, station_sha256=station.sha256
        )

    def _entry(self, wanted: Settings, station: OpenedBundle, one: RecipeSettings) -> Entry:
        its, refusal = station if one.bundle is None else self._opened_at(one.bundle), None
        if its is not None:
            recipe = make_recipe(wanted, its.bundle, its.engine, one)
        else:
            assert one.bundle is not None
            recipe = make_recipe(wanted, head_of(one.bundle, wanted.trust), Switch(), one)
            refusal = self._missing.setdefault(one.bundle, opening(one.name))
        return Entry(
            recipe=recipe,
            parts=tuple(parse(text) for text in one.parts),
            products=frozenset(one.products),
            refusal=refusal,
        )

    def _missing_paths(self) -> tuple[Path, ...]:
        with self.bundles.held():
            return tuple(self._missing)

    def _has_come(self, path: Path, opened: OpenedBundle) -> None:
        with self.bundles.held():
            if path in self._missing:
                del self._missing[path]
                self._of_recipes[path] = opened
                self._renew(path)

    def _has_failed(self, path: Path, why: Refusal) -> None:
        with self.bundles.held():
            if self._missing.get(path, why) != why:
                self._missing[path] = why
                self._renew(path)

    def _renew(self, path: Path) -> None:
        """The recipes of this bundle; all others are the same ones as before."""
        if isinstance(self._book, ByProduct):
            named = [one for one in self._wanted.recipes if one.bundle == path]
            renewed = {one.name: self._entry(self._wanted, self._station, one) for one in named}
            self._judge_by(replace(self._book, entries={**self._book.entries, **renewed}))

    def _opened_at(self, path: Path) -> OpenedBundle | None:
        """Not one that was closed since: what no recipe names any more does not stay open."""
        one = self._of_recipes.get(path)
        with self.bundles.held() as there:
            return one if one is not None and one.sha256 in there else None

    @contextmanager
    def _needed_ones(self) -> Iterator[Sequence[OpenedBundle]]:
        with self.bundles.held() as there:
            needed = self.needed()
            yield [one for sha256, one in there.items() if sha256 in needed]


def open_recipes(wanted: Settings, bundles: OpenedBundles) -> Mapping[Path, OpenedBundle]:
    """The bundles that recipes name, each kept until it is dropped.

    Raises BundleError, NotTrusted, EngineError or NoRoomError, which say what is wrong.
    """
    paths = dict.fromkeys(one.bundle for one in wanted.recipes if one.bundle is not None)
    return {path: bundles.open(path) for path in paths}


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_NAME_BYTES + 1).decode("ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        log.warning("switched_recipe_unreadable", path=str(path), reason=str(error)[:500])
        return ""


def _write(path: Path, name: str | None) -> None:
    try:
        if name is None:
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
        else:
            replace_file(path, [name.encode("ascii")])
    except OSError as error:
        raise SwitchError(
            f"{path}: {error.strerror}; nothing was switched, see that the disk is good"
        ) from error
