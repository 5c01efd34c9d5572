"""Cuts the power at every call of a recorded life, and says what must hold of what is left."""

import os
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.stack import syscalls
from tests.stack.calls import Call, Opened, Restarted, Synced, Wrote
from tests.stack.disk import Disk, Image
from tests.stack.storelife import RETENTION_DAYS, TODAY, Body, Later, Step, command

REPOSITORY: Final = Path(__file__).parents[2]
_KILLED: Final = -9


@dataclass(slots=True)
class Promise:
    """What the store owes at one moment.

    Attributes:
        today: the day that it is.
        sent: bodies that were sent, answered or not.
        acknowledged: those that were answered with success.
    """

    today: int = TODAY
    sent: list[Body] = field(default_factory=list)
    acknowledged: list[Body] = field(default_factory=list)

    def tenants(self) -> list[str]:
        """Whose lines were sent."""
        return sorted({body.tenant for body in self.sent})

    def lines(self, tenant: str, bodies: Sequence[Body]) -> set[str]:
        """The lines of bodies that retention has not reached."""
        first = self.today - RETENTION_DAYS
        kept = [body for body in bodies if body.tenant == tenant and TODAY + body.day >= first]
        return {word for body in kept for word in body.words()}


@dataclass(frozen=True, slots=True)
class State:
    """What a cut leaves.

    Attributes:
        at: how many calls were made before it.
        rule: by which it was decided what reached the disk.
        image: what is there.
        promise: what is owed.
    """

    at: int
    rule: str
    image: Image
    promise: Promise


class Recording:
    """The calls of one or more lives of a store in one folder, and what each step was.

    Args:
        folder: where to put the data and the logs.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "data"
        self.root.mkdir()
        self._folder = folder
        self._lives: list[tuple[Path, Path, Sequence[Step]]] = []

    def live(self, steps: Sequence[Step], *faults: str, killed: bool = False) -> str:
        """Runs a life through its steps, with faults planted; gives its notes."""
        number = len(self._lives)
        log, notes = self._folder / f"calls{number}", self._folder / f"notes{number}"
        ended = subprocess.run(
            syscalls.recorded(command(self.root, notes, steps), log, *faults),
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # calls of the store's alone
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert ended.returncode in ({_KILLED, 137} if killed else {0}), ended.stderr[-3000:]
        self._lives.append((log, notes, steps))
        return notes.read_text()

    def states(
        self, dice: random.Random, *, torn: int, everywhere: bool = True, life: int = 0
    ) -> Iterator[State]:
        """What a cut may leave, at each moment; nothing twice.

        Args:
            dice: decides what of a torn state is there.
            torn: so many of these for each moment.
            everywhere: at each call; else only after syncs and acknowledgements, and not what
                a kill alone leaves.
            life: cuts come in this life or a later one.
        """
        disk, promise = Disk(str(self.root)), Promise()
        seen: set[int] = set()
        lives = 0
        rules: dict[str, Callable[[], Image]] = {
            "synced alone": disk.durable,
            "names ahead": disk.names_ahead,
            "content ahead": disk.content_ahead,
        } | {f"torn {n}": lambda: disk.torn(dice) for n in range(torn)}
        if everywhere:
            rules["killed"] = disk.cached
        for at, event in enumerate(self._events()):
            lives += isinstance(event, Restarted)
            if isinstance(event, str):
                _noted(promise, event, self._step)
            elif not disk.apply(event) or not (everywhere or isinstance(event, Synced)):
                continue
            if lives < life:
                continue
            owed = (promise.today, len(promise.sent), len(promise.acknowledged))
            for rule, image in rules.items():
                # The -shm is memory: what a cut leaves of it says nothing. What was known of the
                # time would make days stay that a test expects to go.
                left = {
                    path: content
                    for path, content in image().items()
                    if not path.endswith("-shm") and not path.startswith(("clock", ".clock"))
                }
                identity = hash((owed, tuple(sorted(left.items(), key=lambda item: item[0]))))
                if identity not in seen:
                    seen.add(identity)
                    yield State(at, rule, left, promise)

    def _step(self, life: int, at: int) -> Step:
        return self._lives[life][2][at]

    def _events(self) -> Iterator[Call | str]:
        """Calls, and notes as `LIFE WORD STEP`."""
        for number, (log, notes, _) in enumerate(self._lives):
            if number:
                yield Restarted()
            descriptor = -1
            for call in syscalls.read(log):
                match call:
                    case Opened(opened, path) if path == str(notes):
                        descriptor = opened
                    case Wrote(written, data) if written == descriptor:
                        yield f"{number} {data.decode().strip()}"
                    case _:
                        yield call


def _noted(promise: Promise, note: str, step_of: Callable[[int, int], Step]) -> None:
    life, word, at, *_ = note.split()
    match step_of(int(life), int(at)), word:
        case Body() as body, "begun":
            promise.sent.append(body)
        case Body() as body, "done":
            promise.acknowledged.append(body)
        case Later(days), "begun":
            promise.today += days


def place(image: Image, root: Path) -> None:
    """Makes the folder that an image describes."""
    for path, content in sorted(image.items(), key=lambda item: item[0]):
        if content is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(content)
