"""Puts PORT into the environment of a container that is just being created.

Every start waits for this program: it imports only what comes with the interpreter in C, and
nothing of Wharfinger. `wharfinger-runtime` runs it, and runc after it, whatever became of it.
The table of ports is the registrar's own; `registrar.porttable` says what stands in it.
"""

import _json  # the scanner alone: importing json takes as long as all else here
import _socket
import _thread
import fcntl
import posix  # os without what it brings along
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PATIENCE_SECONDS = 0.9
MAX_JSON_BYTES = 2**24
MAX_TABLE_BYTES = 2**24
QUARANTINED = 1_000
ENVIRONMENT = "environment"
WHITE = " \t\n\r"
HEXADECIMAL = frozenset("0123456789abcdef")
DIGITS = frozenset("0123456789")
ID_LENGTH = 64
HIGHEST = 65_535
LEFT_ALONE = ("wharfinger.ignore", "wharfinger.port.pool")  # from a pool the registrar gives
# Options of `runc create` whose value is the next word, where it does not follow a "=".
VALUED = ("--bundle", "-b", "--console-socket", "--pid-file", "--pidfd-socket", "--preserve-fds")
WARNING = 28  # a daemon's warning (RFC 5424, 6.2.1)


class Untouched(Exception):
    """Nothing is wrong and nothing to do: this container asks for no port of ours."""


class _Syntax:
    """How the scanner takes JSON: as the json module does."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


scan = _json.make_scanner(_Syntax())  # type: ignore[arg-type]  # any object with these attributes


class Table:
    """The table of ports, as far as giving one needs it.

    Attributes:
        within: the ports that may be given.
        taken: ports that are somebody's without standing among the entries.
        freed: those that rest, the one freed last at the end.
        entries: port and way by container id.
    """

    def __init__(self, text: str) -> None:
        """Reads it.

        Raises:
            ValueError: it is not whole, or a line is not as it should be.
        """
        magic, within, taken, freed, *entries, end, rest = text.split("\n")
        if (magic, end, rest) != ("wharfinger ports 1", "end", ""):
            raise ValueError("the table of ports is damaged")
        self._head = (magic, within, taken)
        first, last = _words("range", within)[0].split("-")
        self.within = range(_port(first), _port(last) + 1)
        self.taken = {_port(each) for each in _words("taken", taken)}
        self.freed = [_port(each) for each in _words("freed", freed)]
        self.entries: dict[str, tuple[int, str]] = {}
        for entry in entries:
            port, container_id, way = _words("port", entry)
            self.entries[container_id] = (_port(port), way)
        if len({port for port, _ in self.entries.values()}) != len(entries):
            raise ValueError("the table of ports names one twice")

    def __str__(self) -> str:
        """As the registrar writes it."""
        freed = " ".join(["freed", *map(str, self.freed)])
        entries = [f"port {port} {who} {way}" for who, (port, way) in self.entries.items()]
        return "\n".join([*self._head, freed, *entries, "end", ""])

    def give(
        self, container_id: str, is_free: "Callable[[int], bool]", can_bind: "Callable[[int], bool]"
    ) -> int:
        """Notes which port a container has in its next run: its own, or a new one.

        Args:
            container_id: whose.
            is_free: whether nobody at all is on a port.
            can_bind: whether whoever had a port before can have it again.

        Raises:
            ValueError: no port is left.
        """
        port, _ = self.entries.get(container_id, (0, ""))
        if port and not can_bind(port):
            del self.entries[container_id]
            self.freed = [*self.freed, port][-QUARANTINED:]
            port = 0
        if not port:
            port = self._choose(is_free)
            self.freed = [each for each in self.freed if each != port]
        self.entries[container_id] = (port, ENVIRONMENT)
        return port

    def _choose(self, is_free: "Callable[[int], bool]") -> int:
        """As `registrar.porttable` does: what was never used, then what was freed longest ago."""
        taken = {*self.taken, *(port for port, _ in self.entries.values())}
        resting = set(self.freed)
        # Not a list of all: the range has thousands of them, and the first few do.
        fresh = (port for port in self.within if port not in resting)
        rested = (port for port in self.freed if port in self.within)
        for some in (fresh, rested):
            for port in some:
                if port not in taken and is_free(port):
                    return port
        raise ValueError("no port is left")


def _words(name: str, line: str) -> list[str]:
    first, *words = line.split(" ")
    if first != name:
        raise ValueError("the table of ports is damaged")
    return words


def _port(text: str) -> int:
    if not text or len(text) > len(str(HIGHEST)) or not DIGITS.issuperset(text):
        raise ValueError("no port")
    if not 0 < int(text) <= HIGHEST:
        raise ValueError("no port")
    return int(text)


def can_bind(port: int, *, again: bool) -> bool:
    """Whether a TCP port can be bound on all addresses; `registrar.sockets` has the same."""
    for family, every in ((_socket.AF_INET, "0.0.0.0"), (_socket.AF_INET6, "::")):  # noqa: S104
        try:
            probe = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        except OSError:  # a host without IPv6
            continue
        try:
            if again:
                probe.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
            if family == _socket.AF_INET6:
                probe.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
            probe.bind((every, port))
        except OSError:
            return False
        finally:
            probe.close()
    return True


def members(text: str, begin: int) -> "dict[str, tuple[int, Any]]":
    """The object that begins at `begin`: where each member's value begins, and the value.

    Positions come from the scanner that reads the values, so that nothing that looks like a
    member inside of a string can be taken for one.

    Raises:
        ValueError: there is no object, or it names a member twice; Go takes no notice of case.
    """
    if text[begin] != "{":
        raise ValueError("no JSON object")
    found: dict[str, tuple[int, Any]] = {}
    at = _skip(text, begin + 1)
    while text[at] != "}":
        if text[at] != '"':
            raise ValueError("no JSON object")
        key, at = _json.scanstring(text, at + 1, True)  # noqa: FBT003 - takes no keyword
        at = _skip(text, at)
        if text[at] != ":" or key.lower() in map(str.lower, found):
            raise ValueError(f"no member, or twice: {key!r}")
        start = _skip(text, at + 1)
        value, at = scan(text, start)
        found[key] = (start, value)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    while text[at] in WHITE:
        at += 1
    return at


def asked_for(linux: "Any", docker: "Any") -> int | None:
    """The port that a container's own word names; None to be given one.

    Args:
        linux: the member of that name of the bundle's config.json.
        docker: what Docker keeps of the container, config.v2.json.

    Raises:
        Untouched: it asks for none.
    """
    labels = docker["Config"]["Labels"] or {}
    env = docker["Config"]["Env"] or []
    if not labels.get("wharfinger.app") or any(map(labels.get, LEFT_ALONE)):
        raise Untouched
    if labels.get("SERVICE_IGNORE") or any(each[:15] == "SERVICE_IGNORE=" < each for each in env):
        raise Untouched
    if not _on_our_network(linux):
        raise Untouched
    named = labels.get("wharfinger.port")
    if not named:
        return None
    try:
        return _port(named)
    except ValueError:  # `internal`, or what the registrar refuses
        raise Untouched from None


def _on_our_network(linux: "Any") -> bool:
    for namespace in linux.get("namespaces") or []:
        if namespace["type"] == "network":
            path = namespace.get("path") or ""
            # Docker names a process only for the network of another container.
            if not path or path.startswith("/proc/"):
                return False
            its, ours = posix.stat(path), posix.stat("/proc/self/ns/net")
            if its.st_dev != ours.st_dev:  # where Docker has it mounted, which is not seen here
                raise ValueError(f"{path} is no network")
            return (its.st_dev, its.st_ino) == (ours.st_dev, ours.st_ino)
    return True


def place_for_port(text: str, process: int) -> tuple[int, str]:
    """Where PORT belongs in the text whose member `process` begins there, and what must follow.

    Raises:
        Untouched: it is there already.
    """
    begin, env = members(text, process)["env"]
    if any(each[:5] == "PORT=" for each in env):
        raise Untouched
    return begin + 1, "," if env else ""


def port_from_table(path: str, container_id: str, go_on: "Callable[[], None]") -> int:
    """Gives the container its port, on disk before anybody hears of it."""
    flags = posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC | posix.O_NOFOLLOW
    descriptor = posix.open(f"{path}.lock", flags, 0o600)  # whoever may read it may lock it
    with open(descriptor, "r+b", buffering=0) as lock:  # noqa: PTH123 - pathlib is none of it
        fcntl.flock(lock, fcntl.LOCK_EX)  # for ever, if need be: nobody waits for us so long
        go_on()
        who = f"wharfinger-runtime for container {container_id[:12]} pid {posix.getpid()}\n"
        try:
            lock.truncate(0)
            lock.write(who.encode())
        except OSError:  # the disk is full; a port given before can be read all the same
            pass
        before = read(path, MAX_TABLE_BYTES)
        table = Table(before)
        port = table.give(
            container_id,
            lambda each: can_bind(each, again=False),
            lambda each: can_bind(each, again=True),
        )
        if str(table) != before:
            replace(path, str(table), f"{path}.new", go_on, durable=True)
    return port


def read(path: str, limit: int) -> str:
    """The text of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is longer than any that makes sense, or no text.
    """
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{path} is longer than {limit} bytes")
    return data.decode()


def replace(
    path: str, text: str, staged: str, go_on: "Callable[[], None]", *, durable: bool
) -> None:
    """Writes a file as `staged` and renames it over; durable: to outlive a loss of power.

    Raises:
        OSError: nothing was changed.
    """
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC | posix.O_NOFOLLOW
    try:
        descriptor = posix.open(staged, flags, 0o644)
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(text.encode())
            file.flush()
            posix.fchmod(descriptor, posix.stat(path).st_mode & 0o777)
            if durable:
                posix.fsync(descriptor)
        go_on()
        posix.rename(staged, path)
    except OSError:
        try:  # noqa: SIM105 - contextlib is no part of the interpreter
            posix.unlink(staged)
        except OSError:  # it was never there; what was wrong first is what is told
            pass
        raise


def named(arguments: list[str]) -> tuple[str, str]:
    """The bundle and the container that a command line of runc names."""
    words = iter(arguments[arguments.index("create") + 1 :])
    bundle, rest = ".", []
    for word in words:
        option, equals, value = word.partition("=")
        if option in VALUED and not equals:
            value = next(words)
        if option in ("--bundle", "-b"):
            bundle = value
        elif word[:1] != "-":
            rest.append(word)
    (container_id,) = rest
    return bundle, container_id


def put_port(
    table: str, data_root: str, bundle: str, container_id: str, go_on: "Callable[[], None]"
) -> None:
    """Does all of it, or raises and has changed nothing; so does `go_on` when nobody waits."""
    if len(container_id) != ID_LENGTH or not HEXADECIMAL.issuperset(container_id):
        raise Untouched  # not Docker's
    config = f"{bundle}/config.json"
    text = read(config, MAX_JSON_BYTES)
    whole = members(text, _skip(text, 0))
    kept = read(f"{data_root}/containers/{container_id}/config.v2.json", MAX_JSON_BYTES)
    port = asked_for(whole["linux"][1], scan(kept, _skip(kept, 0))[0])
    at, follows = place_for_port(text, whole["process"][0])
    if port is None:
        port = port_from_table(table, container_id, go_on)
    after = f'{text[:at]}"PORT={port}"{follows}{text[at:]}'
    # Two may be at it, the registrar's process and one that no longer waits for it.
    staged = f"{config}.{posix.getpid()}.{_thread.get_ident()}"
    replace(config, after, staged, go_on, durable=False)


def complain(log: str, arguments: list[str], why: str) -> None:
    """Says it to the system's log (syslog(3)), if anybody takes it now."""
    try:
        text = f"<{WARNING}>wharfinger-runtime: {arguments[-1][:12]} starts without PORT: {why}"
        speaker = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        speaker.sendto(text.encode("ascii", "replace")[:1000], _socket.MSG_DONTWAIT, log)
    except (OSError, IndexError):
        pass


def work(table: str, data_root: str, log: str, arguments: list[str]) -> None:
    """Puts PORT where it belongs, or says why not."""
    try:
        put_port(table, data_root, *named(arguments), lambda: None)
    except Untouched:
        pass
    except BaseException as error:  # noqa: BLE001 - whatever it is, the container starts
        complain(log, arguments, f"{type(error).__name__}: {error}")


def main(table: str, data_root: str, log: str, *arguments: str) -> None:
    """Works in a thread, which is left to itself when it does not come back.

    A process that hangs on a disk cannot be ended, nor can a shell stop waiting for it: so the
    shell waits for our word. What hangs does not go on when the disk answers: it ends with us.
    """
    done = _thread.allocate_lock()
    done.acquire()

    def run() -> None:
        try:
            work(table, data_root, log, list(arguments))
        finally:
            done.release()

    _thread.start_new_thread(run, ())
    if not done.acquire(timeout=PATIENCE_SECONDS):
        complain(log, list(arguments), f"no port within {PATIENCE_SECONDS} s")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    finally:
        posix.write(1, b"done\n")
        posix._exit(0)  # noqa: SLF001 - as os calls it
