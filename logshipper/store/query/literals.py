"""What every text has in it in which a regular expression is found: a literal, if one can be seen.

A literal is looked for many times faster than an expression, and some of its words in the index.
"""

import re
from typing import Final

# One element of an expression, as `re` and RE2 have it.
_ELEMENT: Final = re.compile(
    r"""
      \\(?P<escaped>[^A-Za-z0-9])
    | (?P<other>\\(?:x\{[^}]*\}|[pP](?:\{[^}]*\}|.)|x..|u.{4}|U.{8}|N\{[^}]*\}|\d+|.))
    | (?P<class>\[\^?\]?(?:[^\]\\]|\\.)*\])
    | (?P<sign>[()|.^$])
    | (?P<repeat>[*+?]|\{\d*,?\d*\})
    | (?P<plain>.)
    """,
    re.VERBOSE | re.DOTALL,
)
# Flags that change what a letter stands for, lookarounds, conditions, classes in classes, which
# end elsewhere in RE2 than in `re`: of those nothing is said.
_UNSURE: Final = re.compile(r"\(\?(?!:|P<|<[A-Za-z_])|\\[QE]|\[:")


def required(pattern: str) -> str:
    """The longest text that is there wherever the expression is found; empty if none is sure."""
    if _UNSURE.search(pattern):
        return ""
    runs, run, depth = [""], "", 0
    for found in _ELEMENT.finditer(pattern):
        kind, text = found.lastgroup, found[0]
        if text == "|" and depth == 0:
            return ""
        if kind in {"plain", "escaped"} and depth == 0:
            run += found["escaped"] or text
            continue
        if kind == "repeat" and text != "+":
            # It may be repeated no time at all.
            run = run[:-1]
        depth += (text == "(") - (text == ")")
        runs.append(run)
        run = ""
    return max(*runs, run, key=len)
