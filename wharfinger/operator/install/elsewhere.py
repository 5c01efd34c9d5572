"""What systemd must be told where the configuration keeps things at other places than usual."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from wharfinger.operator.install.model import GROUP, ROLES, File, unit

STATE: Final = "/var/lib/wharfinger"
RUNTIME: Final = "/run/wharfinger"
TMPFILES: Final = "/etc/tmpfiles.d/wharfinger-elsewhere.conf"
DROP_IN: Final = "/etc/systemd/system/{}.d/50-places.conf"


@dataclass(frozen=True, slots=True)
class Places:
    """Where the configuration has things.

    Attributes:
        state_dir: what must survive a restart.
        runtime_dir: sockets.
        written: further folders that a daemon writes to, by its name; those it owns.
    """

    state_dir: str = STATE
    runtime_dir: str = RUNTIME
    written: Mapping[str, Sequence[str]] = field(default_factory=dict)


def files(roles: frozenset[str], places: Places) -> Iterator[File]:
    """Drop-ins that let the daemons write there, and the folders; none where all is as usual."""
    lines = [*_sockets(places.runtime_dir)] if places.runtime_dir != RUNTIME else []
    for role, names in ROLES.items():
        if role not in roles:
            continue
        for name in names:
            own, written = _of(name, places)
            lines += [f"d {_quoted(each)} 0750 _wharfinger-{name} {GROUP}" for each in own]
            if written:
                yield _drop_in(name, role, written)
    if lines:
        text = "# Folders of [host] and [logstore] in wharfinger.toml.\n" + "\n".join(lines) + "\n"
        yield File(TMPFILES, text.encode(), "makes folders at other places", "written")


def _sockets(folder: str) -> Iterator[str]:
    """The same as in deploy/systemd/tmpfiles.conf."""
    yield f"d {_quoted(folder)} 0755 root root"
    yield f"d {_quoted(f'{folder}/registrar')} 2755 _wharfinger-registrar wharfinger"
    yield f"L+ {_quoted(f'{folder}/registrar.sock')} - - - - registrar/registrar.sock"
    yield f"d {_quoted(f'{folder}/nginx')} 0700 root root"


def _of(name: str, places: Places) -> tuple[list[str], list[str]]:
    """The folders that a daemon owns elsewhere, and all that it writes to elsewhere."""
    own = [*places.written.get(name, ())]
    if places.state_dir != STATE:
        own.insert(0, f"{places.state_dir}/{name}")
    written = list(own)
    if places.runtime_dir != RUNTIME:
        written.append(places.runtime_dir)
    return own, written


def _drop_in(name: str, role: str, written: Sequence[str]) -> File:
    text = (
        "# The unit may write below /var/lib/wharfinger and /run/wharfinger alone, but\n"
        "# wharfinger.toml has other places.\n"
        f"[Service]\nReadWritePaths={' '.join(_quoted(each) for each in written)}\n"
    )
    why = "lets the daemon write where the configuration says"
    return File(DROP_IN.format(unit(name)), text.encode(), why, "written", role)


def _quoted(path: str) -> str:
    """A path as units and tmpfiles.d(5) have it (systemd.unit(5)): `%` begins a specifier."""
    told = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{told}"' if " " in path else told
