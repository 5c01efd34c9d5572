"""What the demo shows: colours for people, plain lines where there is no terminal."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from wharfinger.errors import WharfingerError

# rich's own frame loads a font from elsewhere; a picture in a repository must stand alone.
_SVG = """<svg class="wharfinger" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g></g></svg>
"""  # noqa: E501 - a template, line by line as it is written


class StepFailedError(WharfingerError):
    """A step of the demo did not hold."""


class Step:
    """One step while it runs; `tell` adds a line below it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.seconds: float | None = None

    def tell(self, text: str) -> None:
        """Shows a finding of this step."""
        self._console.print(Text(f"       {text}", style="dim"))

    def require(self, held: object, text: str) -> None:
        """Ends the step as failed unless `held`.

        Raises:
            StepFailedError: with `text`.
        """
        if not held:
            raise StepFailedError(text)


class Show:
    """The demo's output, and whether a person watches."""

    def __init__(self, *, picture: Path | None = None) -> None:
        self._picture = picture
        self._console = Console(
            record=picture is not None,
            highlight=False,
            width=100 if picture is not None else None,
            soft_wrap=True,
        )
        self._number = 0
        self.failed = False

    @property
    def watched(self) -> bool:
        """Whether there is a terminal."""
        return self._console.is_terminal

    def say(self, text: str, style: str = "") -> None:
        """A line outside the steps."""
        self._console.print(Text(text, style=style))

    @asynccontextmanager
    async def step(self, what: str) -> AsyncIterator[Step]:
        """Runs the block as a numbered step; measures it unless the block does so itself.

        Raises:
            WharfingerError: what went wrong in the block, shown first.
        """
        self._number += 1
        self._console.print(Text.assemble((f"  {self._number:2}.  ", "bold cyan"), what))
        step, begun = Step(self._console), time.monotonic()
        try:
            yield step
        except Exception as error:
            self.failed = True
            why = str(error) if isinstance(error, WharfingerError) else repr(error)
            self._console.print(Text(f"       FAILED: {why}", style="bold red"))
            if isinstance(error, WharfingerError):
                raise
            raise StepFailedError(why) from error
        seconds = time.monotonic() - begun if step.seconds is None else step.seconds
        self._console.print(Text.assemble(("       held", "green"), f"  {seconds:.2f} s"))

    def save(self) -> None:
        """Writes the picture, if one was asked for."""
        if self._picture is not None:
            self._console.save_svg(
                str(self._picture), title="make demo", theme=MONOKAI, code_format=_SVG
            )
