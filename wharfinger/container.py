"""A container and an event as Docker describes them, read without trusting a field of it."""

import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from wharfinger.errors import Rejected

CONTAINER_ID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
DEFAULT_STOP_SIGNAL: Final = int(signal.SIGTERM)
# Docker counts real-time signals as the kernel does with glibc's two taken (moby/sys, signal).
SIGRTMIN: Final = 34
SIGRTMAX: Final = 64
MAX_PORT: Final = 65_535
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)", re.ASCII
)


@dataclass(frozen=True, slots=True, order=True)
class ExposedPort:
    """A port that the image or `--expose` names; nothing says that anything listens on it."""

    port: int
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True, order=True)
class PublishedPort:
    """A port of the host that Docker forwards into the container, as it is bound now."""

    container_port: int
    host_port: int
    host_ip: str = ""
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True)
class Mount:
    """Something of the host's, or a volume, that a container sees.

    Attributes:
        type: `bind`, `volume`, `tmpfs`, ...
        source: path on the host; empty where there is none.
        destination: path inside.
    """

    type: str
    source: str
    destination: str


@dataclass(frozen=True, slots=True)
class Container:
    """One container at one moment; everything in it but the id was chosen by its creator.

    Attributes:
        id: 64 hexadecimal digits.
        name: without the leading slash.
        image: as it was asked for (`shop:1.2`, `repo@sha256:...`).
        image_id: `sha256:...` of what runs.
        state: Docker's word: created, running, paused, restarting, removing, exited, dead.
        running: the process exists; true while paused, too.
        pid: of the container's first process, in dockerd's pid namespace; 0 when there is none.
        exit_code: of the last run; 0 as long as there was none.
        created_at_ns: Unix time in nanoseconds; 0 when unknown.
        started_at_ns: start of the last run, Unix time in nanoseconds; 0 when it never ran.
        network_mode: `host`, `none`, `bridge`, `container:ID` or a network's name.
        ipc_mode: `private`, `shareable`, `host`, `none` or `container:ID`; says whose /dev/shm.
        stop_signal: number of the signal that `docker stop` sends first.
        tty: its log holds one stream, stdout.
        health: `starting`, `healthy` or `unhealthy`; empty without a HEALTHCHECK.
        ip_addresses: on Docker's own networks, sorted by the network's name; empty on the host's.
        log_driver: `json-file`, `local`, ...
        log_options: `max-size`, `max-file`, `tag`, ...
        log_path: where dockerd says that the json-file log is; empty for other drivers.
        command: the program and its arguments, entrypoint and command together.
        runtime: name of the OCI runtime that it was created for.
        upper_dir: where overlay2 keeps what it wrote, on the host; empty for other drivers.
        mounts: what is mounted into it.
    """

    id: str
    name: str = ""
    image: str = ""
    image_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    state: str = ""
    running: bool = False
    paused: bool = False
    pid: int = 0
    exit_code: int = 0
    created_at_ns: int = 0
    started_at_ns: int = 0
    network_mode: str = ""
    ipc_mode: str = ""
    stop_signal: int = DEFAULT_STOP_SIGNAL
    tty: bool = False
    health: str = ""
    exposed_ports: tuple[ExposedPort, ...] = ()
    published_ports: tuple[PublishedPort, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    log_driver: str = ""
    log_options: Mapping[str, str] = field(default_factory=dict)
    log_path: str = ""
    command: tuple[str, ...] = ()
    runtime: str = ""
    upper_dir: str = ""
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True, slots=True)
class DockerEvent:
    """Something that dockerd did with a container, or noticed of it: a hint to look again.

    Attributes:
        container_id: 64 hexadecimal digits.
        action: `create`, `start`, `kill`, `die`, ...; `health_status` without its state.
        time_ns: Unix time in nanoseconds, by dockerd's clock.
        detail: what followed a colon in the action: `healthy` or `unhealthy`.
        attributes: name, image, signal, exitCode, oldName and **all labels of the container**,
            which overwrite Docker's own of the same name (moby, daemon/events.go).
    """

    container_id: str
    action: str
    time_ns: int
    detail: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def signal(self) -> int | None:
        """The signal that a `kill` sent; None when a label `signal` hides it with nonsense."""
        return _whole_number(self.attributes.get("signal", ""))

    @property
    def exit_code(self) -> int | None:
        """The exit code that a `die` told; None when a label `exitCode` hides it."""
        return _whole_number(self.attributes.get("exitCode", ""))


@dataclass(frozen=True, slots=True)
class Listed:
    """All containers at one moment: what is not in it is gone.

    Attributes:
        containers: each container that could be read.
        unknown: ids of containers that exist and that dockerd could not describe now (it holds
            their lock, or fails on them): keep what was known of them.
        began: when it was asked for, in monotonic seconds.
    """

    containers: tuple[Container, ...]
    unknown: frozenset[str] = frozenset()
    began: float = 0.0


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The engine itself.

    Attributes:
        data_root: where images, containers and logs are, as dockerd sees the file system.
        live_restore: containers stay up while dockerd is down.
        system_time_ns: its clock, Unix time in nanoseconds; 0 when it did not say.
        runtimes: their names.
        programs: what each runtime runs, as it was configured; without those that take arguments.
    """

    name: str
    version: str
    data_root: str
    live_restore: bool
    storage_driver: str
    logging_driver: str
    runtimes: tuple[str, ...]
    default_runtime: str
    system_time_ns: int = 0
    programs: Mapping[str, str] = field(default_factory=dict)


def parse_container(told: object) -> Container:
    """Reads what `GET /containers/{id}/json` answers; odd or missing fields become defaults.

    Raises:
        Rejected: it is no container at all: it has no id.
    """
    whole = _table(told)
    identity = _text(whole.get("Id"))
    if not CONTAINER_ID.fullmatch(identity):
        raise Rejected(f"{identity[:80]!r} is no container id")
    state, config = _table(whole.get("State")), _table(whole.get("Config"))
    host, network = _table(whole.get("HostConfig")), _table(whole.get("NetworkSettings"))
    log = _table(host.get("LogConfig"))
    return Container(
        id=identity,
        name=_text(whole.get("Name")).removeprefix("/"),
        image=_text(config.get("Image")),
        image_id=_text(whole.get("Image")),
        labels=_texts(config.get("Labels")),
        env=dict(_variables(config.get("Env"))),
        state=_text(state.get("Status")),
        running=state.get("Running") is True,
        paused=state.get("Paused") is True,
        pid=_count(state.get("Pid")),
        exit_code=_count(state.get("ExitCode")),
        created_at_ns=time_ns(_text(whole.get("Created"))),
        started_at_ns=time_ns(_text(state.get("StartedAt"))),
        network_mode=_text(host.get("NetworkMode")),
        ipc_mode=_text(host.get("IpcMode")),
        stop_signal=signal_number(_text(config.get("StopSignal"))) or DEFAULT_STOP_SIGNAL,
        tty=config.get("Tty") is True,
        health=_health(state),
        exposed_ports=tuple(sorted(set(_exposed(config.get("ExposedPorts"))))),
        published_ports=tuple(sorted(set(_published(network.get("Ports"))))),
        ip_addresses=tuple(_addresses(network.get("Networks"))),
        log_driver=_text(log.get("Type")),
        log_options=_texts(log.get("Config")),
        log_path=_text(whole.get("LogPath")),
        command=tuple(filter(None, (_text(whole.get("Path")), *_words(whole.get("Args"))))),
        runtime=_text(host.get("Runtime")),
        upper_dir=_text(_table(_table(whole.get("GraphDriver")).get("Data")).get("UpperDir")),
        mounts=tuple(_mounts(whole.get("Mounts"))),
    )


def parse_event(told: object) -> DockerEvent | None:
    """Reads one message of `GET /events`; None for what is no event of a container."""
    whole = _table(told)
    actor = _table(whole.get("Actor"))
    identity = _text(actor.get("ID"))
    action, _, detail = _text(whole.get("Action")).partition(":")
    if whole.get("Type") != "container" or not action or not CONTAINER_ID.fullmatch(identity):
        return None
    return DockerEvent(
        container_id=identity,
        action=action,
        time_ns=_count(whole.get("timeNano")),
        detail=detail.strip(),
        attributes=_texts(actor.get("Attributes")),
    )


def parse_info(told: object) -> EngineInfo:
    """Reads what `GET /info` answers."""
    whole = _table(told)
    runtimes = {name: _table(each) for name, each in _table(whole.get("Runtimes")).items()}
    return EngineInfo(
        name=_text(whole.get("Name")),
        version=_text(whole.get("ServerVersion")),
        data_root=_text(whole.get("DockerRootDir")),
        live_restore=whole.get("LiveRestoreEnabled") is True,
        storage_driver=_text(whole.get("Driver")),
        logging_driver=_text(whole.get("LoggingDriver")),
        runtimes=tuple(sorted(runtimes)),
        default_runtime=_text(whole.get("DefaultRuntime")),
        system_time_ns=time_ns(_text(whole.get("SystemTime"))),
        programs={
            name: program
            for name, each in runtimes.items()
            if (program := _text(each.get("path"))) and not each.get("runtimeArgs")
        },
    )


def of_an_earlier_run(event: DockerEvent, container: Container) -> bool:
    """Whether `container` was started again after `event`, which then says nothing of it."""
    return 0 < event.time_ns < container.started_at_ns


def signal_number(text: str) -> int | None:
    """The number of a signal written as Docker takes it: `SIGTERM`, `term`, `15`, `RTMIN+3`."""
    word = text.strip().upper().removeprefix("SIG")
    if (number := _whole_number(word)) is not None:
        return number if 0 < number <= SIGRTMAX else None
    if match := re.fullmatch(r"RTM(IN|AX)(?:([+-])([0-9]{1,2}))?", word, re.ASCII):
        edge = SIGRTMIN if match[1] == "IN" else SIGRTMAX
        offset = int(match[3] or 0) * (-1 if match[2] == "-" else 1)
        return edge + offset if SIGRTMIN <= edge + offset <= SIGRTMAX else None
    try:
        return int(signal.Signals[f"SIG{word}"])
    except KeyError:
        return None


def time_ns(text: str) -> int:
    """Unix nanoseconds of Docker's RFC 3339 time; 0 for none (Go's zero time is year 1)."""
    match = TIME.fullmatch(text)
    if match is None:
        return 0
    try:
        moment = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    except ValueError:
        return 0
    since = moment - EPOCH
    # Not timestamp(): a float cannot hold nanoseconds of this century.
    seconds = since.days * 86_400 + since.seconds
    return max(0, seconds * 10**9 + int((match[2] or "").ljust(9, "0")))


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> dict[str, str]:
    return {key: text for key, text in _table(value).items() if isinstance(text, str)}


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _whole_number(text: str) -> int | None:
    # Not int(): it takes "1_5", " 15 " and Arabic digits, and five thousand of them.
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) else None


def _words(value: object) -> Iterator[str]:
    yield from map(_text, value if isinstance(value, list) else ())


def _variables(value: object) -> Iterator[tuple[str, str]]:
    for entry in value if isinstance(value, list) else ():
        name, equals, text = _text(entry).partition("=")
        if name and equals:
            yield name, text


def _health(state: Mapping[str, Any]) -> str:
    status = _text(_table(state.get("Health")).get("Status"))
    return "" if status == "none" else status


def _port_key(key: str) -> ExposedPort | None:
    digits, _, protocol = key.partition("/")
    port = _whole_number(digits)
    return ExposedPort(port, protocol or "tcp") if port and port <= MAX_PORT else None


def _exposed(value: object) -> Iterator[ExposedPort]:
    for key in _table(value):
        if port := _port_key(key):
            yield port


def _published(value: object) -> Iterator[PublishedPort]:
    for key, bindings in _table(value).items():
        inside = _port_key(key)
        for binding in bindings if inside and isinstance(bindings, list) else ():
            at = _table(binding)
            outside = _port_key(_text(at.get("HostPort")))
            if inside and outside:
                yield PublishedPort(
                    container_port=inside.port,
                    host_port=outside.port,
                    host_ip=_text(at.get("HostIp")),
                    protocol=inside.protocol,
                )


def _mounts(value: object) -> Iterator[Mount]:
    for entry in map(_table, value if isinstance(value, list) else ()):
        if destination := _text(entry.get("Destination")):
            yield Mount(_text(entry.get("Type")), _text(entry.get("Source")), destination)


def _addresses(value: object) -> Iterator[str]:
    for _, network in sorted(_table(value).items()):
        at = _table(network)
        yield from filter(None, (_text(at.get("IPAddress")), _text(at.get("GlobalIPv6Address"))))
