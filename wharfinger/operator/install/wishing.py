"""From flags, the environment and the configuration that is there to what is wanted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wharfinger import __version__
from wharfinger.address import loopback, own_url, parse_address
from wharfinger.config import Loaded
from wharfinger.errors import Rejected
from wharfinger.operator.install import configuration, credentials, elsewhere, shipped
from wharfinger.operator.install.checks import Asked
from wharfinger.operator.install.elsewhere import Places
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
    group = configuration.new_group(flags, answers.environment)
    loaded = configuration.loaded(root, answers.environment, flags)
    settings = {**dict(configuration.settings(loaded)), **group}
    if "host" in roles:
        settings |= _sink(loaded, answers.store, secrets, own_store="store" in roles)
    config = configuration.checked(root, settings)
    programs = answers.programs or shipped.programs()
    port_range = str(config.registrar.port_range) if "host" in roles else ""
    wanted = Wish(
        roles=roles,
        version=__version__,
        programs=programs,
        files=(
            *shipped.wanted(roles, programs, root),
            *(shipped.beside_runtime() if answers.runtime and "host" in roles else ()),
            *(shipped.for_kernel(root.kernel) if "host" in roles else ()),
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


def _flags(
    answers: Answers, roles: frozenset[str], root: Root
) -> tuple[dict[str, str], dict[str, File]]:
    """The settings that follow from what was said, and the secrets that go with them."""
    given = answers.credentials
    raw = configuration.raw(root, answers.environment, answers.settings)
    host = str(configuration.held(raw, "host", "name") or sections()["host"]().name)  # type: ignore[attr-defined]
    flags = credentials.settings(given, host)
    secrets = {name: credentials.file(name, data) for name, data in given.items()}
    if "edge" in roles and answers.nginx and configuration.held(raw, "discovery", "nginx") is None:
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
        unset = configuration.held(raw, "logstore", key) in (None, credentials.place(name))
        if kind != "admin" and unset and _is_open(raw):
            flags[f"logstore.{key}"] = credentials.place(name)
            secrets.setdefault(name, credentials.file(name, credentials.token(), "token"))
    if "host.crt" in given and _is_open(raw):
        flags["logstore.cert_file"] = credentials.place("host.crt")
        flags["logstore.key_file"] = credentials.place("host.key")
    return flags


def _is_open(raw: object) -> bool:
    """Whether the store listens where other hosts reach it."""
    listen = configuration.held(raw, "logstore", "listen")
    try:
        return isinstance(listen, str) and not loopback(listen)
    except ValueError:
        return False  # the check of the whole configuration says so


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
    own = loaded.value.logstore
    url = store or (
        own_url(own.listen, tls=bool(own.cert_file)) if own_store and is_default else here.url
    )
    if url != here.url:
        told[*at, "url"] = url
    if "ingest.token" in secrets:
        told[*at, "token_file"] = credentials.place("ingest.token")
    if "ca.crt" in secrets and url.startswith("https:"):
        told[*at, "ca_file"] = credentials.place("ca.crt")
    return {(*at, TAG): "bulk", (*at, "url"): url, **told} if told and is_default else told


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
