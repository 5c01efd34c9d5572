"""Writes json-file logs the way dockerd does: 16 KiB parts, rotation by renaming, gzip."""

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path

PART_BYTES = 16_384
CONTAINER = "c0ffee" + "0" * 57 + "1"


def line(text: str, *, stream: str = "stdout", number: int = 0) -> bytes:
    """One record; each number gives another time, as each line of dockerd has."""
    time = f"2026-07-01T10:{number // 60_000_000 % 60:02d}:{number % 60:02d}.{number:09d}Z"
    text = json.dumps({"log": text, "stream": stream, "time": time}, ensure_ascii=False)
    return text.replace('": "', '":"').replace('", "', '","').encode() + b"\n"


def records(text: str, *, stream: str = "stdout", number: int = 0) -> list[bytes]:
    """The records of one written line: ASCII text is cut every 16,384 bytes, as dockerd does."""
    parts = [text[at : at + PART_BYTES] for at in range(0, len(text), PART_BYTES)] or [""]
    return [line(part, stream=stream, number=number) for part in parts]


@dataclass
class DockerLog:
    """A container's folder, written by a test in dockerd's place."""

    root: Path
    container_id: str = CONTAINER
    max_files: int = 4
    written: list[str] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        self.folder = self.root / self.container_id
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / f"{self.container_id}-json.log"

    @property
    def base(self) -> str:
        return self.path.name

    def write(self, *texts: str, stream: str = "stdout") -> None:
        """Appends lines of an application; a newline is put behind each."""
        with self.path.open("ab") as file:
            for text in texts:
                self.count += 1
                file.write(b"".join(records(text + "\n", stream=stream, number=self.count)))
                self.written.append(text)

    def write_numbered(self, count: int, *, prefix: str = "line") -> None:
        self.write(*(f"{prefix} {self.count + n + 1:06d}" for n in range(count)))

    def sizes(self, texts: set[str]) -> int:
        """How many bytes these lines took, of those that `write` wrote."""
        numbered = enumerate(self.written, 1)
        return sum(
            sum(map(len, records(text + "\n", number=number)))
            for number, text in numbered
            if text in texts
        )

    def append(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def rotate(self, *, compress: bool = False) -> None:
        """Renames `.N` to `.N+1`, the base to `.1`, and begins a new file; the oldest goes."""
        for number in range(self.max_files - 1, 0, -1):
            for ending in ("", ".gz"):
                source = self.folder / f"{self.base}.{number}{ending}"
                if source.exists():
                    if number == self.max_files - 1:
                        source.unlink()
                    else:
                        source.rename(self.folder / f"{self.base}.{number + 1}{ending}")
        first = self.folder / f"{self.base}.1"
        self.path.rename(first)
        self.path.touch()
        if compress:
            (self.folder / f"{self.base}.1.gz").write_bytes(gzip.compress(first.read_bytes()))
            first.unlink()

    def remove(self) -> None:
        """What `docker rm` does to the folder."""
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()
