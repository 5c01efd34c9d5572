"""The commented sample configuration, written from the models that read it."""

import textwrap
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Final

import msgspec

from wharfinger.errors import ConfigError, Finding
from wharfinger.schema import SECTIONS, TAG, Field, Section, fields
from wharfinger.sections import DockerConfig, EtcdConfig, HostConfig, LogConfig
from wharfinger.tomlfile import written

GROUP: Final = "wharfinger.sections"
WIDTH: Final = 96

_SHARED: Final[dict[str, type[Section]]] = {
    "host": HostConfig,
    "etcd": EtcdConfig,
    "docker": DockerConfig,
    "log": LogConfig,
}

_HEAD: Final = """\
# /etc/wharfinger/wharfinger.toml: one file for every daemon on this host.
#
# `#key = value` is a default: take the mark away to change it. `# key = value` is an example
# of what is not set, or says in brackets how the value is found. SIGHUP applies a change,
# except where (restart) stands.
# Above this file stands the environment, WHARFINGER_ETCD__PREFIX for prefix in [etcd], and
# above that a daemon's flags: --set etcd.prefix=/site. `registrar config`, and `config` of the
# other daemons, print every value and where it came from; `check` finds what is wrong.
"""


def sections() -> dict[str, type[Section]]:
    """The model of each section, in the order of the file; each daemon's by its entry point.

    Raises:
        ConfigError: a daemon's model is not installed or cannot be imported.
    """
    installed = {point.name: point for point in entry_points(group=GROUP)}
    found: dict[str, type[Section]] = {}
    findings = []
    for name in SECTIONS:
        if name in _SHARED:
            found[name] = _SHARED[name]
            continue
        try:
            found[name] = installed[name].load()
        except KeyError:
            fix = "install the distribution: pip install -e ."
            findings.append(Finding(f"[{name}]", f"no entry point in {GROUP}", fix))
        except (ImportError, AttributeError) as error:
            findings.append(Finding(f"[{name}]", f"its model cannot be imported: {error}"))
    if findings:
        raise ConfigError(findings)
    return found


def sample() -> str:
    """The whole sample file.

    Raises:
        ConfigError: a daemon's model is not there.
    """
    parts = [_HEAD, *(section_sample(name, model) for name, model in sections().items())]
    return "\n".join(parts)


def section_sample(name: str, model: type[Section]) -> str:
    """The sample of one section: its header, then each key with what it is for."""
    return "\n".join([*_about(model), f"[{name}]", *_keys(name, model, mark="#")]) + "\n"


def _keys(name: str, model: type[Section], *, mark: str) -> Iterator[str]:
    tables = []
    for described in fields(model):
        if described.section or described.elements:
            tables.append(described)
            continue
        yield from _told(described)
        yield _line(described, mark)
    for described in tables:
        yield from _table(f"{name}.{described.name}", described, mark)


def _line(described: Field, mark: str) -> str:
    example = described.shown
    if described.default is not None and described.default is not msgspec.NODEFAULT:
        example = example or written(described.default)
        if described.shown is None:
            return f"{mark}{described.name} = {example}"
    return f"# {described.name} = {example or '...'}"


def _table(key: str, described: Field, mark: str) -> Iterator[str]:
    """A table or array of tables below a section; marked whole where it is not there by itself."""
    model = described.section or next(iter(described.elements), None)
    if model is None:
        return
    yield from _told(described)
    if described.section is None:
        default = described.default if isinstance(described.default, tuple) else ()
        yield from _elements(key, model, default)
        yield from _variants(key, model, described.variants)
        return
    if described.default is None:
        yield from _comment("Switched on by its header.")
        yield f"# [{key}]"
        yield from _keys(key, model, mark="# ")
        return
    yield f"[{key}]"
    yield from _keys(key, model, mark=mark)


def _elements(key: str, model: type[Section], default: tuple[object, ...]) -> Iterator[str]:
    if not default:
        yield f"# [[{key}]]"
        yield from _keys(key, model, mark="# ")
        return
    # Every element carries its own values, so that the marks can be taken away one by one.
    for element in default:
        yield f"#[[{key}]]"
        for described in fields(type(element)) if isinstance(element, Section) else ():
            value = getattr(element, described.name)
            yield from _told(described)
            if value is None or isinstance(value, Section):
                yield f"# {described.name} = {described.shown or '...'}"
            else:
                yield f"#{described.name} = {written(value)}"


def _variants(
    key: str, shown: type[Section], variants: Mapping[str, type[Section]]
) -> Iterator[str]:
    """What the other kinds of an element have that the one shown has not, or otherwise."""
    known = {f.name: (f.description, f.default) for f in fields(shown)}
    for kind, model in variants.items():
        if model is shown:
            continue
        yield ""
        yield from _comment((model.__doc__ or "").strip().split("\n\n")[0])
        yield f"# [[{key}]]"
        yield f'# {TAG} = "{kind}"'
        for described in fields(model):
            if described.name != TAG and known.get(described.name) != (
                described.description,
                described.default,
            ):
                yield from _told(described)
                yield _line(described, "# ")


def _told(described: Field) -> Iterator[str]:
    yield ""
    yield from _comment(
        f"{described.description} (restart)" if described.restart else described.description
    )


def _about(model: type[Section]) -> Iterator[str]:
    yield from _comment((model.__doc__ or "").strip().split("\n\n")[0])


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(" ".join(text.split()), WIDTH - 2):
        yield f"# {line}"
