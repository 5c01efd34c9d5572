"""Which paths a list of globs means, decided name by name on the way down; pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from itertools import takewhile
from typing import Final

MAX_GLOBS: Final = 16
MAX_GLOB_CHARACTERS: Final = 1_024
MAX_PARTS: Final = 32
ANY_DEPTH: Final = "**"
_WILD: Final = re.compile(r"[*?]")

# What of each glob has been passed: number of the glob, number of its part.
States = frozenset[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Globs:
    """Absolute globs, each as its parts: names, `*` and `?` within one, `**` for any depth."""

    parts: tuple[tuple[str, ...], ...]

    def start(self) -> States:
        """Where everything begins: at the root."""
        return self._closed((number, 0) for number in range(len(self.parts)))

    def enter(self, states: States, name: str) -> States:
        """What is left to pass behind a name; empty when nothing below it is meant."""
        return self._closed(
            (number, part if self.parts[number][part] == ANY_DEPTH else part + 1)
            for number, part in states
            if part < len(self.parts[number]) and _fits(self.parts[number][part], name)
        )

    def complete(self, states: States) -> bool:
        """Whether what was entered last is meant itself."""
        return any(part == len(self.parts[number]) for number, part in states)

    def mean(self, path: str) -> bool:
        """Whether a path is meant."""
        states = self.start()
        for name in filter(None, path.split("/")):
            states = self.enter(states, name)
        return self.complete(states)

    def prefixes(self) -> list[tuple[str, ...]]:
        """The folder of each glob below which its choice begins."""
        return [tuple(takewhile(lambda p: not _WILD.search(p), p[:-1])) for p in self.parts]

    def names(self, states: States) -> frozenset[str] | None:
        """The only names that can come next; None when a folder must be listed for them."""
        coming = {self.parts[n][part] for n, part in states if part < len(self.parts[n])}
        return None if any(map(_WILD.search, coming)) else frozenset(coming)

    def _closed(self, states: Iterable[tuple[int, int]]) -> States:
        closed: set[tuple[int, int]] = set()
        for number, part in states:
            parts, at = self.parts[number], part
            closed.add((number, at))
            while at < len(parts) and parts[at] == ANY_DEPTH:
                at += 1
                closed.add((number, at))
        return frozenset(closed)


def parse_globs(texts: Iterable[str]) -> tuple[Globs, tuple[str, ...]]:
    """Reads globs; gives those that are whole, and what is wrong with the others."""
    whole: list[tuple[str, ...]] = []
    problems: list[str] = []
    for text in filter(None, (text.strip() for text in texts)):
        parts = tuple(part for part in text.split("/") if part not in {"", "."})
        if len(whole) == MAX_GLOBS:
            problems.append(f"more than {MAX_GLOBS} globs")
            break
        if len(text) > MAX_GLOB_CHARACTERS or len(parts) > MAX_PARTS:
            problems.append(f"{text[:40]!r}... is too long")
        elif not text.startswith("/") or not parts:
            problems.append(f"{text!r:.80} does not begin with / and name a file")
        elif ".." in parts or not text.isprintable():
            problems.append(f"{text!r:.80} holds .. or what is no text")
        elif any(ANY_DEPTH in part and part != ANY_DEPTH for part in parts):
            problems.append(f"{text!r:.80}: ** stands between slashes only")
        else:
            whole.append(parts)
    return Globs(tuple(whole)), tuple(problems)


def _fits(part: str, name: str) -> bool:
    if not _WILD.search(part):
        return part == name
    if name.startswith(".") and not part.startswith("."):
        return False  # as in a shell
    return part == ANY_DEPTH or _compiled(part).fullmatch(name) is not None


@lru_cache(maxsize=1_000)
def _compiled(part: str) -> re.Pattern[str]:
    # fnmatch makes atomic groups of stars: no name can keep it busy. It has sets; we do not.
    return re.compile(translate(part.replace("[", "[[]")))
