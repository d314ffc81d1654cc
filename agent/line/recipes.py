"""Which recipes a station has in force, and how others come into force without another run of the agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from agent.line.line import Line
from agent.line.no_model import no_model
from agent.line.opened import NotOpenError, OpenedBundle, OpenedBundles
from agent.line.recipe import Recipe, make_recipe
from agent.settings.settings import Settings


class Recipes:
    """Of all lines of a station, over the bundles that are open; from any thread."""

    def __init__(self, wanted: Settings, bundles: OpenedBundles, station: OpenedBundle) -> None:
        """`station` is the bundle that the settings name for the whole station."""
        self.bundles = bundles
        self._wanted = wanted
        self._station = station
        self._lines: Mapping[str, Line] = {}
        self._first = make_recipe(wanted, station.bundle, station.engine)

    def serve(self, lines: Mapping[str, Line]) -> None:
        """These lines judge by them; they were made with the recipe in force."""
        self._lines = lines

    @property
    def in_force(self) -> Recipe:
        """By which the station's first line judges; each of the others follows at a boundary of its own."""
        return next((line.recipe for line in self._lines.values()), self._first)

    @property
    def opened(self) -> OpenedBundle:
        """Whose recipe is in force."""
        with self.bundles.held() as there:
            return there.get(self.in_force.bundle_sha256, self._station)

    def take_over(self, wanted: Settings) -> None:
        """Have every line judge by these settings from its next frame or part on; the bundles stay."""
        with self.bundles.held():
            self._put_in_force(wanted, self._station)

    def take_over_bundle(self, sha256: str) -> None:
        """Have every line judge by this bundle from its next frame or part on, in place of the station's.

        The one before is closed when no line judges by it, unless somebody keeps it.
        Raises NotOpenError; then nothing has changed.
        """
        with self.bundles.held() as there:
            if sha256 not in there:
                raise NotOpenError(f"bundle {sha256[:12]} is not open; open it before it takes over")
            self._put_in_force(self._wanted, there[sha256])

    def withdraw(self) -> None:
        """Have no line judge from its next frame or part on; every trigger still gets its record."""
        with self.bundles.held():
            self._put_in_force(self._wanted, no_model(self._wanted.bundle))

    def needed(self) -> frozenset[str]:
        """The digests of bundles that recipes name or lines judge by, or will with their next frame."""
        judging = (one.bundle_sha256 for line in self._lines.values() for one in line.recipes())
        return frozenset((self._station.sha256, *judging))

    def words(self) -> Iterator[str]:
        """What people should know of the engines behind the recipes, one sentence each."""
        with self._needed_ones() as ones:
            for one in ones:
                of = f"Bundle {one.bundle.manifest.name} ({one.sha256[:12]}): " if len(ones) > 1 else ""
                yield from (f"{of}{words}" for words in one.serving.words())

    def serves(self) -> dict[str, bool]:
        """Every engine that may serve the bundle in force, best first, and whether it is the one."""
        return self.opened.serving.serves

    def _put_in_force(self, wanted: Settings, station: OpenedBundle) -> None:
        recipe = make_recipe(wanted, station.bundle, station.engine)
        for line in self._lines.values():
            line.take_over(recipe)
        self._wanted, self._station, self._first = wanted, station, recipe

    @contextmanager
    def _needed_ones(self) -> Iterator[list[OpenedBundle]]:
        with self.bundles.held() as there:
            needed = self.needed()
            yield [one for sha256, one in there.items() if sha256 in needed]
