"""Whatever may stand in a wharf.yaml is rendered, and taken by who reads it."""

from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.release.app.fields import TOP
from deploy.release.app.model import App, EngineName
from deploy.release.app.parsing import parse
from deploy.release.rancher import check
from deploy.release.reference import repository
from deploy.release.render import files, project
from registrar.labels import asks
from registrar.model import Wanted
from tests.release.render.rendered import DIGEST, JAVA
from wharfinger.container import Container
from wharfinger.errors import ConfigError
from wharfinger.keys import Service

FILES = {
    EngineName.COMPOSE: ["docker-compose.yml"],
    EngineName.SWARM: ["stack.yml"],
    EngineName.RANCHER: ["docker-compose.yml", "rancher-compose.yml", "rancher-compose.flags"],
}
DURATIONS = st.sampled_from(["50ms", "100ms", "1500ms", "2s", "2.5s", "1m", "1h"])
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Anything that the schema takes; times and texts from few, that they are often good."""
    if "properties" in schema:
        every = {name: values(each) for name, each in schema["properties"].items()}
        needed = set(schema.get("required", ()))
        return st.fixed_dictionaries(
            {name: each for name, each in every.items() if name in needed},
            optional={name: each for name, each in every.items() if name not in needed},
        )
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([values(each) for each in schema["anyOf"]])
    return OF_TYPES[schema["type"]](schema)


def names_to_values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    names = st.from_regex(schema["propertyNames"]["pattern"], fullmatch=True)
    keys = names.map(lambda name: name[:20].rstrip(".-"))
    return st.dictionaries(keys, values(schema["additionalProperties"]), max_size=2)


def texts_of(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    pattern = schema.get("pattern", "")
    if "(ms|s|m|h)" in pattern:
        return DURATIONS
    if not pattern:
        return TEXTS
    return st.from_regex(pattern, fullmatch=True).map(lambda text: text[:40])


OF_TYPES: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[Any]]] = {
    "boolean": lambda _: st.booleans(),
    "integer": lambda of: st.integers(of["minimum"], min(of["maximum"], of["minimum"] + 20)),
    "number": lambda of: st.floats(of["minimum"], of.get("maximum", 100)),
    "array": lambda of: st.lists(values(of["items"]), max_size=2, unique=True),
    "object": names_to_values,
    "string": texts_of,
}
KEYS = {name: values(field.kind.schema) for name, field in TOP.items()}
ENGINES = st.sampled_from(list(EngineName)).map(str)
ENVIRONMENT = TOP["environments"].kind.schema["additionalProperties"]["properties"]
FURTHER = st.fixed_dictionaries(
    {"engine": ENGINES},
    optional={
        key: values(each)
        for key, each in ENVIRONMENT.items()
        if key not in {"engine", "mirrors", "needs"}
    },
)
APPS = st.fixed_dictionaries(
    {
        "app": st.from_regex(r"[A-Za-z0-9]([a-z0-9]{0,5}|-[a-z]|_[a-z]|\.[a-z])", fullmatch=True),
        "image": st.sampled_from(["r.example/a", "localhost:5000/a/b_c", "[::1]:5000/x"]),
        "build": KEYS["build"],
        "environments": st.dictionaries(
            st.from_regex(r"[A-Za-z]([a-z0-9]{0,4}|\.[a-z]|-+[a-z]|-)", fullmatch=True),
            FURTHER,
            min_size=1,
            max_size=3,
        ),
    },
    optional={
        key: each
        for key, each in KEYS.items()
        if key not in {"app", "image", "build", "environments"}
    },
)


def read(content: dict[str, Any]) -> App | None:
    try:
        return parse(yaml.safe_dump(content, allow_unicode=True))
    except ConfigError:
        return None


GOOD = APPS.map(read).filter(lambda app: app is not None)


@given(GOOD)
@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
def test_what_is_read_is_rendered_and_taken(app: App) -> None:
    repository(app.image)
    for environment in app.environments.values():
        image = f"{app.image}@{DIGEST}"
        java = JAVA if app.build.java else None
        texts = files(app, environment, image, "r1", environment.replicas, java=java)
        assert list(texts) == FILES[environment.engine]
        assert 0 < len(project(app, environment)) <= 150
        service = yaml.safe_load(next(iter(texts.values())))["services"][app.name]
        if environment.engine is EngineName.RANCHER:
            assert check(texts["docker-compose.yml"], texts["rancher-compose.yml"]) == ()
        container = Container(
            id="c" * 64,
            image=image,
            labels={name: text.replace("$$", "$") for name, text in service["labels"].items()},
            env=service.get("environment", {}),
            network_mode="host",
        )
        (ask,) = asks.read(container)
        assert isinstance(ask, Wanted), ask
        assert ask.service == Service(app.name, environment.name)
        assert (ask.port, ask.pool) == (app.port.fixed, app.port.pool)
