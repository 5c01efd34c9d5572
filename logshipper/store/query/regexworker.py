"""Runs one regular expression over batches of texts, in a process that can be killed.

Python's `re` can take exponential time and cannot be interrupted; in a thread of the store it
would hold the interpreter's lock and stop the whole store. So this file is run by itself.
"""

import marshal
import re
import resource
import sys

CPU_SECONDS = 60


def main() -> None:
    """Reads the expression, then lists of texts; answers each with the numbers that match."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    # Should the store die, nobody is left to kill this process.
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    # ^ and $ at each line of it: other fields follow the message, a line each.
    found = re.compile(marshal.load(source), re.MULTILINE).search  # noqa: S302 - our parent wrote it
    while True:
        try:
            texts = marshal.load(source)  # noqa: S302 - our parent wrote it
        except EOFError:
            return
        marshal.dump([at for at, text in enumerate(texts) if found(text)], sink)
        sink.flush()


if __name__ == "__main__":
    main()
