"""From flags, the environment and the configuration that is there to what is wanted."""

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from wharfinger import __version__, sources
from wharfinger.address import loopback, parse_address
from wharfinger.config import Loaded, Section, load, walk
from wharfinger.errors import ConfigError, Finding, Rejected
from wharfinger.operator.install import credentials, elsewhere, shipped
from wharfinger.operator.install.checks import Asked
from wharfinger.operator.install.elsewhere import Places
from wharfinger.operator.install.merging import merged
from wharfinger.operator.install.model import CONFIG, NGINX_FILE, File, Record, Wish, daemons
from wharfinger.operator.install.root import Root
from wharfinger.sample import sample, sections
from wharfinger.schema import TAG
from wharfinger.tomlfile import Place

SINKS: Final = ("logshipper", "sinks")


@dataclass(frozen=True, slots=True)
class Answers:
    """What was said, by whichever way.

    Attributes:
        roles: that are asked for.
        settings: of the configuration, dotted key to text.
        environment: the process's.
        store: address of the log store that lines are shipped to.
        credentials: of `wharfinger pki`, by name.
        programs: the folder that the units shall call.
        nginx: discovery writes for Nginx.
        runtime: the runtime in front of runc is there, or will be.
        force: files that others have changed are written anew.
        start: units are started.
    """

    roles: frozenset[str]
    settings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    store: str | None = None
    credentials: Mapping[str, bytes] = field(default_factory=dict)
    programs: str | None = None
    nginx: bool = True
    runtime: bool = False
    force: bool = False
    start: bool = True


def wish(answers: Answers, root: Root, record: Record | None) -> tuple[Wish, Asked, Any]:
    """What is wanted, what of it is checked, and the configuration as it will be.

    Raises:
        ConfigError: the configuration has a mistake, or would have one; every one is named.
        Rejected: it leaves no room for what was said.
        Unavailable: this installation lacks what belongs on a host.
    """
    roles = answers.roles | (record.roles if record else frozenset())
    flags, secrets = _flags(answers, roles, root)
    loaded = _loaded(root, answers.environment, flags)
    settings = dict(_settings(loaded))
    if "host" in roles:
        settings |= _sink(loaded, answers.store, secrets, own_store="store" in roles)
    config = _checked(root, settings)
    programs = answers.programs or shipped.programs()
    port_range = str(config.registrar.port_range) if "host" in roles else ""
    wanted = Wish(
        roles=roles,
        version=__version__,
        programs=programs,
        files=(
            *shipped.wanted(roles, programs, root),
            *(shipped.beside_runtime() if answers.runtime and "host" in roles else ()),
            *elsewhere.files(roles, _places(config)),
            *secrets.values(),
        ),
        settings=settings,
        sample=sample(),
        port_range=port_range,
        users=shipped.users(),
        folders=shipped.folders(live=root.live),
        overwrite=answers.force,
        start=answers.start,
    )
    return wanted, _asked(wanted, config), config


def configured(root: Root) -> Any:
    """The configuration that is there; the defaults where it cannot be read."""
    try:
        return _loaded(root, {}, {}).value
    except ConfigError:
        return _model()()


def _flags(
    answers: Answers, roles: frozenset[str], root: Root
) -> tuple[dict[str, str], dict[str, File]]:
    """The settings that follow from what was said, and the secrets that go with them."""
    given = answers.credentials
    raw = _raw(root, answers)
    host = str(_held(raw, "host", "name") or sections()["host"]().name)  # type: ignore[attr-defined]
    flags = credentials.settings(given, host)
    secrets = {name: credentials.file(name, data) for name, data in given.items()}
    if "edge" in roles and answers.nginx and _held(raw, "discovery", "nginx") is None:
        flags["discovery.nginx.dest"] = NGINX_FILE
    if "store" in roles:
        flags |= _store(raw, given, secrets)
    return {**flags, **answers.settings}, secrets


def _store(raw: object, given: Mapping[str, bytes], secrets: dict[str, File]) -> dict[str, str]:
    """The settings of a store, whose missing tokens are added to the secrets."""
    flags = {}
    for kind in credentials.KINDS:
        key = f"{kind}_token_file"
        if f"{kind}.tokens" in given:
            flags[f"logstore.{key}"] = credentials.place(f"{kind}.tokens")
            continue
        name = f"{kind}.token"
        # One that is named and gone is made again: a store without it would not start.
        unset = _held(raw, "logstore", key) in (None, credentials.place(name))
        if kind != "admin" and unset and _is_open(raw):
            flags[f"logstore.{key}"] = credentials.place(name)
            secrets.setdefault(name, credentials.file(name, credentials.token(), "token"))
    if "host.crt" in given and _is_open(raw):
        flags["logstore.cert_file"] = credentials.place("host.crt")
        flags["logstore.key_file"] = credentials.place("host.key")
    return flags


def _is_open(raw: object) -> bool:
    """Whether the store listens where other hosts reach it."""
    listen = _held(raw, "logstore", "listen")
    try:
        return isinstance(listen, str) and not loopback(listen)
    except ValueError:
        return False  # the check of the whole configuration says so


def _raw(root: Root, answers: Answers) -> object:
    """All that was said, before its types are looked at."""
    with _staged(root.content(CONFIG) or b"") as path:
        tree = sources.from_file(path, [])
    sources.merge(tree, sources.from_environment(answers.environment, []))
    sources.merge(tree, sources.from_flags(answers.settings))
    return sources.plain(tree)


def _held(raw: object, *steps: str) -> object:
    for step in steps:
        raw = raw.get(step) if isinstance(raw, dict) else None
    return raw


@contextmanager
def _staged(data: bytes) -> Iterator[Path]:
    """A configuration as a file of its own: a path into a root folder could lead out of it.

    Raises:
        ConfigError: as whoever reads it says, of the file at its place.
    """
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder) / "wharfinger.toml"
        staged.write_bytes(data)
        try:
            yield staged
        except ConfigError as error:
            raise ConfigError(_renamed(each, str(staged)) for each in error.findings) from error


def _model() -> type[Section]:
    parts = [(name, model, model()) for name, model in sections().items()]
    made = msgspec.defstruct("Config", parts, bases=(Section,), frozen=True, kw_only=True)
    return cast("type[Section]", made)


def _loaded(root: Root, environment: Mapping[str, str], flags: Mapping[str, str]) -> Loaded[Any]:
    named = {name: text for name, text in environment.items() if "__" in name}
    with _staged(root.content(CONFIG) or b"") as path:
        return load(_model(), path=path, environment=named, flags=flags)


def _settings(loaded: Loaded[Any]) -> Iterator[tuple[Place, object]]:
    """Those that were said on the command line or in the environment, by place."""
    for key, described, value in walk(type(loaded.value), loaded.value):
        said = loaded.origin(key).startswith(("flag", "environment"))
        # Of an array that was said as a whole, what differs from the defaults is enough.
        spare = "[" in key and described.name != TAG and value == described.default
        if said and value is not None and not spare:
            yield _place(key), _plain(value)


def _place(key: str) -> Place:
    steps = re.findall(r"\[(\d+)\]|([^.\[\]]+)", key)
    return tuple(int(number) if number else name for number, name in steps)


def _plain(value: object) -> object:
    """A value as TOML can write it."""
    return msgspec.to_builtins(value, enc_hook=str)


def _sink(
    loaded: Loaded[Any], store: str | None, secrets: Mapping[str, File], *, own_store: bool
) -> dict[Place, object]:
    """The settings of the sink that goes to the log store.

    Args:
        loaded: the configuration.
        store: its address, where it was said.
        secrets: what is put in place for it.
        own_store: it is on this host.

    Raises:
        Rejected: which of several sinks it is cannot be told.
    """
    sinks = loaded.value.logshipper.sinks
    is_default = loaded.origin("logshipper.sinks") in ("", "default")
    ours = [number for number, each in enumerate(sinks) if getattr(each, TAG, "") == "bulk"]
    if len(ours) != 1 and store is None:
        return {}
    if len(ours) != 1:
        raise Rejected(
            f"{CONFIG} has {len(ours)} sinks of the type bulk: write the log store's url and "
            "token_file to the right one yourself, and leave out --store"
        )
    at = (*SINKS, ours[0])
    here = sinks[ours[0]]
    told: dict[Place, object] = {}
    url = store or (_own_store(loaded.value.logstore) if own_store and is_default else here.url)
    if url != here.url:
        told[*at, "url"] = url
    if "ingest.token" in secrets:
        told[*at, "token_file"] = credentials.place("ingest.token")
    if "ca.crt" in secrets and url.startswith("https:"):
        told[*at, "ca_file"] = credentials.place("ca.crt")
    return {(*at, TAG): "bulk", (*at, "url"): url, **told} if told and is_default else told


def _own_store(config: Any) -> str:
    """Where the store of this host is asked by who is on it as well."""
    host, port = parse_address(config.listen)
    scheme = "https" if config.cert_file else "http"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - it listens there
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _checked(root: Root, settings: Mapping[Place, object]) -> Any:
    """The configuration as it will be, read as the daemons will read it.

    Raises:
        ConfigError: with every finding.
        Rejected: it cannot be changed in place.
    """
    before = root.content(CONFIG)
    try:
        text = merged(sample() if before is None else before.decode(), settings)
    except Rejected as error:
        raise Rejected(f"{CONFIG}: {error}; nothing was changed") from error
    with _staged(text.encode()) as path:
        return load(_model(), path=path, environment={}).value


def _renamed(finding: Finding, staged: str) -> Finding:
    where, source = (text.replace(staged, CONFIG) for text in (finding.where, finding.source))
    return replace(finding, where=where, source=source)


def _places(config: Any) -> Places:
    state, store = str(config.host.state_dir), config.logstore.data_dir
    beside = store is not None and not Path(store).is_relative_to(state)
    written = {"logstore": (str(store),)} if beside else {}
    return Places(state, str(config.host.runtime_dir), written)


def _asked(wanted: Wish, config: Any) -> Asked:
    ports = {parse_address(getattr(config, name).listen)[1]: name for name in daemons(wanted.roles)}
    return Asked(
        roles=wanted.roles,
        programs=wanted.programs,
        ports=ports,
        port_range=str(config.registrar.port_range),
        has_nginx_resource=config.discovery.nginx is not None,
        address=config.host.ip or config.host.interface or config.host.cidr,
    )
