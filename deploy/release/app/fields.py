"""Every key of wharf.yaml: what may stand there, what it is in the model, and what it is for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deploy.release.app import grammar, kinds
from deploy.release.app.kinds import FLAG, Field, Kind
from deploy.release.app.model import App, Autoscale, Build, EngineName, Health, Order, Port, Serve

SECONDS: Final = kinds.duration(0, grammar.MOST_SECONDS)
VARIABLES: Final = kinds.named(grammar.VARIABLE, "a variable's name", grammar.TEXT)

BUILD: Final = {
    "layer": Field(
        "layer",
        grammar.LAYER,
        "Image of the layer below, by its name in layers.lock or whole.",
        required=True,
        fix="write layer: and the image of the layer below, such as java",
    ),
    "context": Field("context", grammar.FOLDER, "Folder to build in, relative to wharf.yaml."),
    "dockerfile": Field("dockerfile", grammar.FILE, "Relative to the context."),
    "java": Field(
        "java",
        kinds.one_of({"host": True, "none": False}),
        "host: the JDK of the host is mounted.",
    ),
    "arguments": Field("arguments", VARIABLES, "Further build arguments."),
}
PORT: Final = {
    "env": Field(
        "env",
        kinds.text(r"[A-Za-z_][A-Za-z0-9_]{0,127}", "a variable's name", "write PORT"),
        "The variable that carries the port.",
    ),
    "fixed": Field("fixed", kinds.whole(1, 65535), "The port, where it is always the same."),
    "pool": Field("pool", grammar.POOL, "First and last port that the registrars may give."),
}
HEALTH: Final = {
    "http": Field("http", grammar.HTTP_CHECK, "Path that answers 2xx or 3xx; without: listening."),
    "every": Field("every_seconds", kinds.duration(0.1, 3600), "Between two probes."),
    "timeout": Field("timeout_seconds", kinds.duration(0.05, 60), "Of one probe."),
    "healthy": Field("healthy", kinds.whole(1, 100), "Good probes until it is up."),
    "unhealthy": Field("unhealthy", kinds.whole(1, 100), "Bad probes until it is not."),
    "start": Field("start_seconds", SECONDS, "How long a new instance may take."),
}
SERVE: Final = {
    "host": Field(
        "host",
        grammar.SERVE_HOST,
        "Virtual host that the edges serve it as.",
        required=True,
        fix="write host: shop.example.org",
    ),
    "path": Field("path", grammar.SERVE_PATH, "Prefix of its paths."),
}
RESOURCES: Final = {
    "memory": Field("memory", grammar.MEMORY, "Limit, such as 512m."),
    "cpus": Field("cpus", kinds.number(0.01, 1024), "Limit in cores."),
}
ROLLOUT: Final = {
    "batch": Field("batch", kinds.whole(1, 1000), "How many instances at a time."),
    "order": Field(
        "order",
        kinds.one_of({each.value: each for each in Order}),
        "Whether the new instance is there before the old one goes.",
    ),
    "monitor": Field("monitor_seconds", SECONDS, "How long a new instance is watched."),
}
AUTOSCALE: Final = {
    "min": Field("least", kinds.whole(1, 1000), "Never fewer.", required=True, fix="write min: 1"),
    "max": Field("most", kinds.whole(1, 1000), "Never more.", required=True, fix="write max: 10"),
    "cpu": Field("cpu_percent", grammar.PERCENT, "Of one core, per instance on average."),
    "requests": Field(
        "requests_per_second", kinds.number(0.001, 1e6), "Per instance and second on average."
    ),
    "cooldown": Field("cooldown_seconds", SECONDS, "Between two changes."),
}


@dataclass(frozen=True, slots=True)
class Given:
    """What the file says of an environment, before what it mirrors is known.

    Attributes:
        said: by the names of the model's attributes; `rollout` by those of `Rollout`.
    """

    said: Mapping[str, Any]


def _given(**said: object) -> Given:
    return Given(said)


ENVIRONMENT: Final = {
    "engine": Field(
        "engine", kinds.one_of({each.value: each for each in EngineName}), "What runs it."
    ),
    "replicas": Field("replicas", kinds.whole(1, 1000), "How many instances."),
    "everywhere": Field("everywhere", FLAG, "One instance on each host."),
    "docker": Field("docker", grammar.DOCKER, "Address of the engine."),
    "hosts": Field("hosts", grammar.HOSTS, "Label that a host must have, such as role=app."),
    "mirrors": Field(
        "mirrors",
        kinds.text(grammar.ENVIRONMENT_NAME, "an environment", "write the name of one"),
        "Environment that it equals in all but how many, where, and secrets.",
    ),
    "needs": Field(
        "needs",
        kinds.items(grammar.NEED),
        "Evidence without which nothing is promoted to it: checks, CHECK, ENVIRONMENT.CHECK.",
    ),
    "approve": Field("approve", FLAG, "Whether a promotion needs somebody's word."),
    "variables": Field("variables", VARIABLES, "Environment variables beside the application's."),
    "secrets": Field(
        "secrets",
        kinds.named(grammar.VARIABLE, "a variable's name", grammar.HOST_FILE),
        "Variable, and the file on the hosts whose path in /run/secrets it carries.",
    ),
    "volumes": Field("volumes", kinds.items(grammar.VOLUME), "HOST:CONTAINER or ...:ro, each."),
    "rollout": Field("rollout", kinds.block(dict, ROLLOUT), "How instances are replaced."),
    "autoscale": Field(
        "autoscale", kinds.block(Autoscale, AUTOSCALE), "How many instances, by what is asked."
    ),
}


@dataclass(frozen=True, slots=True)
class Written:
    """A whole file, before environments that mirror others are known.

    Attributes:
        app: without environments.
        environments: by name, in the order of the file.
    """

    app: App
    environments: Mapping[str, Given]


def _written(
    *,
    environments: Mapping[str, Given],
    resources: Mapping[str, Any] | None = None,
    **said: Any,
) -> Written:
    return Written(App(**said, **(resources or {})), environments)


def _block(make: Callable[..., Any], fields: Mapping[str, Field]) -> Kind[Any]:
    return kinds.block(make, fields)


# What mirrors another has its engine, too, unless it says otherwise.
_ENVIRONMENT: Final = _block(_given, ENVIRONMENT).with_schema(
    {"anyOf": [{"required": ["engine"]}, {"required": ["mirrors"]}]}
)
TOP: Final = {
    "app": Field(
        "name",
        grammar.APP,
        "APP of its keys.",
        required=True,
        fix="write app: shop",
        stand_in="app",
    ),
    "image": Field(
        "image",
        grammar.REPOSITORY,
        "Repository in the registry, without a tag.",
        required=True,
        fix="write image: registry.example:5000/shop",
        stand_in="image",
    ),
    "build": Field(
        "build",
        _block(Build, BUILD),
        "How its image is made.",
        required=True,
        fix="write build: {layer: java}",
        stand_in=Build(layer="layer"),
    ),
    "port": Field("port", _block(Port, PORT), "How it learns where to listen."),
    "health": Field("health", _block(Health, HEALTH), "When an instance counts as up."),
    "serve": Field("serve", _block(Serve, SERVE), "The virtual host that the edges serve it as."),
    "command": Field("command", grammar.COMMAND, "In place of the image's."),
    "drain": Field("drain_seconds", SECONDS, "For traffic to move away before a stop."),
    "checks": Field("checks", kinds.items(grammar.CHECK), "Evidence that every digest needs."),
    "variables": Field("variables", VARIABLES, "Environment variables in all environments."),
    "resources": Field("resources", _block(dict, RESOURCES), "Limits of an instance."),
    "labels": Field(
        "labels",
        kinds.named(grammar.LABEL, "a label's name", grammar.TEXT),
        "Further labels of its containers.",
    ),
    "environments": Field(
        "environments",
        kinds.named(
            grammar.ENVIRONMENT_NAME,
            "an environment's name: letters, digits, '.' and '-'",
            _ENVIRONMENT,
        ),
        "Where it runs, in the order in which it is promoted.",
        required=True,
        fix="write environments: {integration: {engine: compose}}",
        stand_in={},
    ),
}
FILE: Final = kinds.block(_written, TOP)
