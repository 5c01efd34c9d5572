"""wharfinger.toml(5), from the models that read the file."""

from collections.abc import Iterator, Mapping

import msgspec

from wharfinger.operator.manual import roff
from wharfinger.schema import TAG, Field, Section, fields
from wharfinger.tomlfile import written

INTRODUCTION = (
    "One file for every daemon of a host, in TOML. An unknown key or a wrong type is an error that "
    "names the key, the line and the fix; all are reported at once. Above the file stands the "
    "environment, `WHARFINGER_ETCD__PREFIX` for `prefix` in [etcd], and above that the flags of a "
    "daemon: `--set etcd.prefix=/site`. SIGHUP applies a change, except where (restart) stands. "
    "`registrar config`, and config of the other daemons, print every value and where it came from."
)


def page(sections: Mapping[str, type[Section]], version: str) -> str:
    """The whole page.

    Args:
        sections: the model of each, in the order of the file.
        version: of Wharfinger.
    """
    lines = [
        roff.head("wharfinger.toml", 5, version),
        roff.title("NAME"),
        "wharfinger.toml \\- configuration of the Wharfinger daemons of a host",
        roff.title("SYNOPSIS"),
        roff.escaped("/etc/wharfinger/wharfinger.toml"),
        roff.title("DESCRIPTION"),
        *roff.prose(INTRODUCTION),
        roff.title("SECTIONS"),
    ]
    for name, model in sections.items():
        lines += _table(f"[{name}]", name, model)
    lines += [roff.title("SEE ALSO"), f"{roff.bold('wharfinger')}(8)"]
    return "\n".join(lines) + "\n"


def _table(header: str, key: str, model: type[Section]) -> Iterator[str]:
    yield roff.subtitle(header)
    yield from roff.prose((model.__doc__ or "").strip().split("\n\n")[0])
    tables = []
    for described in fields(model):
        if described.section or described.elements:
            tables.append(described)
            continue
        told = f"{described.description}{' (restart)' if described.restart else ''}"
        yield from roff.entry(f"{roff.bold(described.name)} = {_default(described)}", told)
    for described in tables:
        yield from _below(f"{key}.{described.name}", described)


def _below(key: str, described: Field) -> Iterator[str]:
    if described.section:
        yield from _table(f"[{key}]", key, described.section)
        return
    variants = described.variants or {"": described.elements[0]}
    for kind, model in variants.items():
        header = f'[[{key}]] {TAG} = "{kind}"' if kind else f"[[{key}]]"
        yield from _table(header, key, model)


def _default(described: Field) -> str:
    default = described.default
    if described.shown is not None or default is None or default is msgspec.NODEFAULT:
        return roff.italic(described.shown or "...")
    return roff.escaped(written(default))
