"""What a command told while it worked, kept."""


class Told:
    """A `Progress` of lists."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.waits: list[tuple[str, int, int]] = []
        self.lines: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)

    def waiting(self, what: str, done: int, of: int) -> None:
        self.waits.append((what, done, of))

    def output(self, line: str) -> None:
        self.lines.append(line)
