"""Finds files that globs mean below a place, with a bound on everything a container can grow."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from logshipper.files.places import Place
from logshipper.files.planted import (
    Identity,
    identity_at,
    objection,
    open_below,
    opened_root,
)
from logshipper.globs import Globs, States

MAX_DEPTH: Final = 24
MAX_ENTRIES: Final = 20_000
MAX_FOLDERS: Final = 256
MAX_NAME_CHARACTERS: Final = 1_024


@dataclass(frozen=True, slots=True)
class Found:
    """A file.

    Attributes:
        place: below which it is.
        folder: relative to the place's root; empty for the root itself.
        name: in its folder.
        identity: what stays when it is renamed.
    """

    place: Place
    folder: str
    name: str
    identity: Identity

    @property
    def path(self) -> str:
        """Where it is, seen from inside."""
        return "/".join((self.place.at, *filter(None, (self.folder, self.name))))

    @property
    def key(self) -> str:
        """What the checkpoint calls its log."""
        return f"{self.place.key}:/{'/'.join(filter(None, (self.folder, self.name)))}"


@dataclass(frozen=True, slots=True)
class _Here:
    """A folder that is looked into."""

    place: Place
    globs: Globs
    states: States
    fd: int
    path: tuple[str, ...] = ()


@dataclass(slots=True)
class Walk:
    """What was found so far.

    Attributes:
        files: those that are meant.
        folders: descriptors of folders that a meant file may appear in, and when each had changed
            last before it was listed; whoever made the walk closes them.
        refused: reasons why what is meant is not read, with their number.
    """

    files: list[Found] = field(default_factory=list)
    folders: list[tuple[int, int]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    _entries: int = 0

    def close(self) -> None:
        """Lets the folders go."""
        while self.folders:
            os.close(self.folders.pop()[0])

    def into(self, place: Place, globs: Globs) -> None:
        """Walks one place."""
        states = globs.start()
        for name in filter(None, place.at.split("/")):
            states = globs.enter(states, name)
        if not states:
            return
        try:
            with opened_root(place.root) as root:
                self._folder(_Here(place, globs, states, os.dup(root)))
        except NotADirectoryError:
            where = place.at or "its root"
            self.refused[f"{where}: its folder on the host is reached through a link"] += 1
        except FileNotFoundError:
            return
        except OSError as error:
            self.refused[f"{place.at or '/'}: {error.strerror}"] += 1

    def _folder(self, here: _Here) -> None:
        """Looks into one folder, whose descriptor it takes over."""
        if len(self.folders) == MAX_FOLDERS or len(here.path) > MAX_DEPTH:
            os.close(here.fd)
            self.refused[f"more than {MAX_FOLDERS} folders, or deeper than {MAX_DEPTH}"] += 1
            return
        self.folders.append((here.fd, os.fstat(here.fd).st_mtime_ns))
        for name, entered in [*self._below(here)]:
            try:
                inner = open_below(here.fd, name)
            except OSError:
                continue  # replaced since it was looked at, or a mount
            self._folder(replace(here, states=entered, fd=inner, path=(*here.path, name)))

    def _below(self, here: _Here) -> Iterator[tuple[str, States]]:
        """Takes the files of a folder; gives the folders in it."""
        for name in self._names(here.globs, here.states, here.fd):
            entered = here.globs.enter(here.states, name)
            if not entered or "/".join((here.place.at, *here.path, name)) in here.place.beyond:
                continue
            try:
                status = os.stat(name, dir_fd=here.fd, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    yield name, entered
                elif here.globs.complete(entered):
                    self._file(here, name, status)
                elif stat.S_ISLNK(status.st_mode):
                    self.refused["is a link, and is not followed"] += 1
            except OSError:
                continue  # gone meanwhile, or deleted as overlay2 says it

    def _file(self, here: _Here, name: str, status: os.stat_result) -> None:
        why = objection(status)
        fits = name.isprintable() and "/".join(here.path).isprintable()
        if why is None and not (fits and len("/".join((*here.path, name))) <= MAX_NAME_CHARACTERS):
            why = "has a name that is no text, or too long"
        if why is not None:
            self.refused[why] += 1
            return
        identity = identity_at(here.fd, name, status)
        self.files.append(Found(here.place, "/".join(here.path), name, identity))

    def _names(self, globs: Globs, states: States, fd: int) -> Iterator[str]:
        if (literal := globs.names(states)) is not None:
            yield from sorted(literal)
            return
        with os.scandir(fd) as entries:
            for entry in entries:
                self._entries += 1
                if self._entries > MAX_ENTRIES:
                    self.refused[f"more than {MAX_ENTRIES} names are looked at in no scan"] = 1
                    return
                yield entry.name
