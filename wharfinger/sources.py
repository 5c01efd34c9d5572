"""Where settings come from: the file, the environment and flags, merged, each with its origin."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wharfinger import tomlfile
from wharfinger.errors import Finding
from wharfinger.schema import SECTIONS

DEFAULT_PATH: Final = Path("/etc/wharfinger/wharfinger.toml")
ENVIRONMENT_PREFIX: Final = "WHARFINGER_"
# A configuration is a page or two; more is the wrong file, or one that never ends.
MAX_FILE_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class Given:
    """A raw value, where it stands, and the folder that a relative path in it starts from.

    Attributes:
        value: as it was read; text from flags and environment is still untyped.
        origin: `file PATH line N`, `environment NAME` or `flag KEY`.
        folder: the file's own folder, else the working directory.
        is_text: whether the type has yet to be read out of the text.
    """

    value: object
    origin: str
    folder: Path
    is_text: bool = False


@dataclass(slots=True)
class Table:
    """A table of settings, and where it begins."""

    origin: str = ""
    entries: "dict[str, Node]" = field(default_factory=dict)


Node = Given | Table | tuple[Table, ...]


def chosen_path(path: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The file to read: the one asked for, else the environment's, else the default if it is."""
    if path is not None:
        return path
    if named := environment.get(f"{ENVIRONMENT_PREFIX}CONFIG"):
        return Path(named)
    try:
        return DEFAULT_PATH if DEFAULT_PATH.exists() else None
    except PermissionError:
        # It may be there: reading it gives the finding that names the file.
        return DEFAULT_PATH


def from_file(path: Path, findings: list[Finding]) -> Table:
    """Reads the file; whatever is wrong with it goes to `findings`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            findings.append(Finding(str(path), f"is larger than {MAX_FILE_BYTES} bytes"))
            return Table()
        # utf-8-sig: editors of other systems put a mark first, which tomllib calls an error.
        table, lines = tomlfile.parse(data.decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        findings.append(_unreadable(path, error))
        return Table()
    return _Placed(path, lines).table(table, ())


def from_environment(environment: Mapping[str, str], findings: list[Finding]) -> Table:
    """Reads `WHARFINGER_SECTION__KEY`; look-alikes that would do nothing go to `findings`."""
    tree = Table()
    folder = Path.cwd()
    for name, text in sorted(environment.items()):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        steps = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if len(steps) > 1:
            _plant(tree, steps, Given(text, f"environment {name}", folder, is_text=True))
            continue
        # One underscore where two belong would otherwise be ignored without a word.
        section, _, rest = steps[0].partition("_")
        if section in SECTIONS:
            wanted = f"{ENVIRONMENT_PREFIX}{section}__{rest or 'key'}".upper()
            findings.append(Finding(name, "is no setting", f"did you mean {wanted}?"))
    return tree


def from_flags(flags: Mapping[str, str]) -> Table:
    """Takes dotted keys and their texts."""
    tree = Table()
    folder = Path.cwd()
    for key, text in flags.items():
        _plant(tree, key.split("."), Given(text, f"flag {key}", folder, is_text=True))
    return tree


def from_json(value: Mapping[str, Any], given: Given) -> Table:
    """A table that was written as JSON in a flag or in the environment."""
    return _Placed(given.origin, {}, given.folder).table(value, ())


def merge(below: Table, above: Table) -> None:
    """Lays `above` over `below`, table by table, in place."""
    for key, node in above.entries.items():
        held = below.entries.get(key)
        if isinstance(held, Table) and isinstance(node, Table):
            merge(held, node)
        else:
            below.entries[key] = node


def plain(node: Node) -> object:
    """The value without its origins."""
    match node:
        case Given():
            return node.value
        case Table():
            return {key: plain(entry) for key, entry in node.entries.items()}
        case tuple():
            return [plain(table) for table in node]


def first(node: Node) -> Given | None:
    """The first value below a node."""
    match node:
        case Given():
            return node
        case Table():
            found = (first(entry) for entry in node.entries.values())
        case tuple():
            found = (first(table) for table in node)
    return next((given for given in found if given is not None), None)


def origin(node: Node) -> str:
    """Where a node begins."""
    match node:
        case Given() | Table():
            return node.origin
        case tuple():
            return node[0].origin if node else ""


def _unreadable(path: Path, error: Exception) -> Finding:
    match error:
        case OSError():
            # The error text alone does not name a file that only the environment named.
            return Finding(
                str(path), f"cannot be read: {error.strerror}", "name another with --config"
            )
        case UnicodeDecodeError():
            problem = f"is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}"
            return Finding(str(path), problem, "save it as UTF-8")
        case _:
            return Finding(str(path), f"is not TOML: {error}", "mend that line")


class _Placed:
    """Puts origins to the values of one file, or of one JSON text."""

    def __init__(
        self, source: Path | str, lines: Mapping[tuple[str | int, ...], int], folder: Path = Path()
    ) -> None:
        self._source = f"file {source}" if isinstance(source, Path) else source
        self._folder = source.absolute().parent if isinstance(source, Path) else folder
        self._lines = lines

    def table(self, table: Mapping[str, Any], at: tuple[str | int, ...]) -> Table:
        entries = {key: self._node(value, (*at, key)) for key, value in table.items()}
        return Table(self._origin(at), entries)

    def _node(self, value: object, at: tuple[str | int, ...]) -> Node:
        if isinstance(value, dict):
            return self.table(value, at)
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            return tuple(self.table(item, (*at, number)) for number, item in enumerate(value))
        return Given(value, self._origin(at), self._folder)

    def _origin(self, at: tuple[str | int, ...]) -> str:
        line = self._lines.get(at)
        return f"{self._source} line {line}" if line else self._source


def _plant(tree: Table, steps: list[str], given: Given) -> None:
    *path, last = steps
    for step in path:
        branch = tree.entries.get(step)
        if not isinstance(branch, Table):
            # ..ETCD__PREFIX=x beside ..ETCD__PREFIX__Y=z: the deeper one stands, and is refused.
            branch = tree.entries[step] = Table(given.origin)
        tree = branch
    tree.entries[last] = given
