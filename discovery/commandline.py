"""What is wrong with a command before it is run."""

import re
import shlex
from collections.abc import Iterator
from typing import Final

from wharfinger.errors import Finding

# What only a shell understands; run without one, it would reach the program as an argument.
_SHELL: Final = re.compile(r"[();<>|&]+")


def command_problems(where: str, command: str, *, shell: bool = False) -> Iterator[Finding]:
    """Says what is wrong with a command; an empty one is none.

    Args:
        where: the setting.
        command: what is run.
        shell: by a shell, which takes any words.
    """
    if "\0" in command:
        yield Finding(where, "has a NUL", "no command line can")
    if shell:
        return
    if command and not command.strip():
        yield Finding(where, "is blank", "leave it out to run nothing")
    try:
        lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
        # "{{ .src }}" is one word for us; "#" begins no comment in an argument.
        lexer.whitespace_split, lexer.commenters = True, ""
        words = list(lexer)
    except ValueError as error:
        yield Finding(where, f"cannot be split into words: {error}", "mend the quotes")
        return
    if any(_SHELL.fullmatch(word) for word in words):
        fix = f"write {where} = \"sh -c '...'\" if a shell shall run it"
        yield Finding(where, "has shell syntax, but is run without a shell", fix)
