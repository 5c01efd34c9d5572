"""Found lines on stdout: each in its form, stack traces folded, a page in one write."""

from collections.abc import Iterable, Iterator

from wharfinger.operator import terminal
from wharfinger.operator.logs.excerpts import Excerpt, place
from wharfinger.operator.logs.folding import Fold, Folding
from wharfinger.operator.logs.shown import Hit, Style, line, note, separator


class Printer:
    """Writes lines as they come.

    Args:
        style: how.

    Attributes:
        lines: how many there were, folded ones too.
    """

    def __init__(self, style: Style) -> None:
        self.lines = 0
        self._style = style
        self._folding: Folding[Hit] | None = Folding() if style.fold else None

    def show(self, hits: Iterable[Hit]) -> None:
        """Writes lines, in their order."""
        self._write(self._text(hits))

    def pause(self) -> None:
        """Says what was folded, as nothing more comes for now."""
        if self._folding is not None:
            self._write(self._one(each) for each in self._folding.end())

    def show_excerpts(self, found: Iterable[Excerpt]) -> None:
        """Writes lines and what stands around them."""
        for number, excerpt in enumerate(found):
            if number:
                self._write([separator(self._style)])
            self._write(self._excerpt(excerpt))
            self.lines += len(excerpt.found)

    def _text(self, hits: Iterable[Hit]) -> Iterator[str]:
        for hit in hits:
            self.lines += 1
            if self._folding is None:
                yield line(hit, self._style)
                continue
            run = (*place(hit), hit.get("stream"))
            for each in self._folding.feed(run, str(hit.get("message", "")), hit):
                yield self._one(each)

    def _excerpt(self, excerpt: Excerpt) -> Iterator[str]:
        folding: Folding[Hit] = Folding()
        for hit in excerpt.lines:
            found = str(hit.get("id", "")) in excerpt.found
            if not self._style.fold or found:
                # What was searched for is seen.
                yield from map(self._around, folding.end())
                yield line(hit, self._style, found=found)
                continue
            run, text = hit.get("stream"), str(hit.get("message", ""))
            yield from map(self._around, folding.feed(run, text, hit))
        yield from map(self._around, folding.end())

    def _around(self, each: Hit | Fold[Hit]) -> str:
        if isinstance(each, Fold):
            return note(each, self._style)
        return line(each, self._style, found=False)

    def _one(self, each: Hit | Fold[Hit]) -> str:
        return note(each, self._style) if isinstance(each, Fold) else line(each, self._style)

    def _write(self, texts: Iterable[str]) -> None:
        if text := "".join(texts):
            terminal.write(text)
