"""An application and its environments, as `wharf.yaml` says them; durations are seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class EngineName(StrEnum):
    """What runs the containers of an environment."""

    COMPOSE = "compose"
    SWARM = "swarm"
    RANCHER = "rancher"


class Order(StrEnum):
    """Whether the new instance is there before the old one goes."""

    START_FIRST = "start-first"
    STOP_FIRST = "stop-first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How the application layer is built.

    Attributes:
        layer: image of the layer below, by its name in layers.lock or whole; build argument LAYER.
        context: folder, relative to wharf.yaml.
        dockerfile: relative to the context.
        java: whether the host's JDK is mounted.
        arguments: further build arguments.
    """

    layer: str
    context: str = "."
    dockerfile: str = "Dockerfile"
    java: bool = False
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """How the application learns where to listen.

    Attributes:
        env: the variable that carries the port.
        fixed: the port, where it is always the same; None where the registrar gives one.
        pool: first and last port that the registrars may give; None for whatever theirs is.
    """

    env: str = "PORT"
    fixed: int | None = None
    pool: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """When an instance counts as up.

    Attributes:
        http: path that answers 2xx or 3xx; None: that the port listens is enough.
        every_seconds: between two probes.
        timeout_seconds: of one.
        healthy: good probes until it is up.
        unhealthy: bad ones until it is not.
        start_seconds: how long a new instance may take.
    """

    http: str | None = None
    every_seconds: float = 2.0
    timeout_seconds: float = 1.0
    healthy: int = 2
    unhealthy: int = 3
    start_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """The HTTP virtual host that the edges serve it as."""

    host: str
    path: str = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How instances are replaced.

    Attributes:
        batch: how many at a time.
        order: which comes first.
        monitor_seconds: how long a new instance is watched before it counts.
    """

    batch: int = 1
    order: Order = Order.START_FIRST
    monitor_seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscale:
    """How many instances there are, by what is asked of them.

    Attributes:
        least: never fewer.
        most: never more.
        cpu_percent: of one core, that an instance may use on average; None: not looked at.
        requests_per_second: that an instance may get on average; None: not looked at.
        cooldown_seconds: between two changes.
    """

    least: int
    most: int
    cpu_percent: float | None = None
    requests_per_second: float | None = None
    cooldown_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One place in which the application runs.

    Attributes:
        name: as commands call it; ENV of its keys.
        engine: what runs it.
        replicas: how many instances; 0 with `everywhere`.
        everywhere: one on each host.
        docker: address of the engine; None for that of the [docker] section.
        hosts: `label=value` that a host must have; None for any.
        mirrors: environment that it must equal in all but what may differ; None for none.
        needs: evidence without which nothing is promoted to it; `checks`: all of the app's.
        approve: whether a promotion needs somebody's word.
        variables: environment variables beside the application's.
        secrets: variable by the file on the hosts that holds it, mounted to /run/secrets.
        volumes: `HOST:CONTAINER[:ro]`.
        rollout: how instances are replaced.
        autoscale: None: as many as were asked for.
    """

    name: str
    engine: EngineName
    replicas: int = 1
    everywhere: bool = False
    docker: str | None = None
    hosts: str | None = None
    mirrors: str | None = None
    needs: tuple[str, ...] = ()
    approve: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    rollout: Rollout = Rollout()
    autoscale: Autoscale | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What wharf.yaml says.

    Attributes:
        name: APP of its keys.
        image: repository in the registry, without tag.
        build: how its image is made.
        port: how it learns where to listen.
        health: when an instance counts as up.
        serve: the virtual host; None for none.
        command: in place of the image's; empty for the image's.
        drain_seconds: how long traffic has to move away before a stop.
        checks: evidence that every digest needs.
        variables: environment variables in all environments.
        memory: limit, as Docker writes it (`512m`); None for none.
        cpus: limit in cores; None for none.
        labels: further container labels.
        environments: by name, in the order of the file.
    """

    name: str
    image: str
    build: Build
    port: Port = Port()
    health: Health = Health()
    serve: Serve | None = None
    command: tuple[str, ...] = ()
    drain_seconds: float = 15.0
    checks: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    memory: str | None = None
    cpus: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[str, Environment] = field(default_factory=dict)
