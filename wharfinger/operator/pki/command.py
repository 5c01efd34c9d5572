"""`wharfinger pki`: init, issue, list, renew, revoke, users."""

import argparse
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from wharfinger.errors import Exit, Rejected
from wharfinger.operator import terminal
from wharfinger.operator.pki import listing, model, passphrase, signing, users
from wharfinger.operator.pki.folder import Folder
from wharfinger.operator.pki.issuing import Office, Order
from wharfinger.operator.pki.passphrase import Passphrase
from wharfinger.operator.verbs import Verbs, add_config

FOLDER: Final = Path("/etc/wharfinger/ca")
NAME: Final = "Wharfinger CA"
_UNITS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "y": timedelta(days=365),
}
_LIFETIME: Final = re.compile(r"([1-9][0-9]{0,5})([smhdy])", re.ASCII)

_Run = Callable[[argparse.Namespace], Coroutine[Any, Any, Exit]]


def add_to(verbs: Verbs) -> None:
    """Adds `pki` to the command."""
    again = "interrupted; begin again, nothing is done twice"
    parser = verbs.add(
        "pki", _init, "a small authority: certificates, users, tokens", interrupted=again
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    def add(name: str, run: _Run, effect: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=effect, description=f"{effect.capitalize()}.")
        action.add_argument(
            "--dir", type=Path, default=FOLDER, metavar="D", help=f"the authority's ({FOLDER})"
        )
        action.set_defaults(run=run)
        return action

    init = add("init", _init, "make an authority")
    init.add_argument("--name", default=NAME, help=f"as certificates show it ({NAME})")
    init.add_argument("--encrypt", action="store_true", help="ask for a passphrase for its key")
    _add_lifetime(init, "10y")
    passphrase.add_to(init)
    _add_issue(add("issue", _issue, "sign a certificate for a host or a person"))
    shown = add("list", _list, "who has a certificate, and until when")
    shown.add_argument("--json", action="store_true", help="for programs")
    renew = add("renew", _renew, "make new pairs for the same names")
    renew.add_argument("names", nargs="*", metavar="NAME")
    renew.add_argument("--near", action="store_true", help="all that end soon")
    _add_lifetime(renew, None)
    _add_out(renew)
    passphrase.add_to(renew)
    revoke = add("revoke", _revoke, "take certificates and tokens back")
    revoke.add_argument("name", metavar="NAME")
    passphrase.add_to(revoke)
    users_parser = add("users", users.run, "make etcd's users and roles, and turn them on")
    users.arguments(users_parser)
    add_config(users_parser)  # type: ignore[arg-type]


def _add_issue(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="host.name of the host")
    parser.add_argument(
        "--role",
        action="append",
        required=True,
        metavar="ROLE[,ROLE]",
        help=f"{', '.join(model.ROLES)}, or all (host, edge, store)",
    )
    parser.add_argument("--ip", action="append", default=[], help="it is reached at")
    parser.add_argument("--dns", action="append", default=[], help="it is reached at")
    parser.add_argument(
        "--services",
        metavar="S,...",
        help="that it may register, or release: shop_prod,shop_qa, shop_* (all)",
    )
    parser.add_argument("--renew", action="store_true", help="another pair, whatever there is")
    _add_lifetime(parser, "1y")
    _add_out(parser)
    passphrase.add_to(parser)


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER|FILE.tar", help="the bundle (D/hosts/NAME)"
    )


def _add_lifetime(parser: argparse.ArgumentParser, default: str | None) -> None:
    said = default or "as long as before"
    parser.add_argument(
        "--lifetime", default=default, metavar="TIME", help=f"12h, 90d, 1y ({said})"
    )


async def _init(parsed: argparse.Namespace) -> Exit:
    folder = Folder(parsed.dir)
    secret = Passphrase.of(parsed)
    with folder.alone(make=True):
        if folder.exists:
            register = folder.register()
            terminal.write(f"{parsed.dir} holds the authority {register.name} already: it stays\n")
            return Exit.OK
        given = secret.new() if parsed.encrypt else secret.given()
        pair = signing.found(parsed.name, lifetime(parsed.lifetime), _now(), given)
        folder.begin(parsed.name, pair)
    locked = "its key has a passphrase" if given else "whoever reads its key is everybody"
    terminal.write(f"authority {parsed.name} in {parsed.dir}: {locked}\n")
    return Exit.OK


async def _issue(parsed: argparse.Namespace) -> Exit:
    order = Order(
        wish=model.wish(parsed.name, parsed.role, parsed.dns, parsed.ip),
        services=None if parsed.services is None else model.services(parsed.services),
        lifetime=lifetime(parsed.lifetime),
        out=parsed.out,
        renew=parsed.renew,
    )
    return _done(parsed, lambda office: office.issue(order))


async def _renew(parsed: argparse.Namespace) -> Exit:
    names = list(parsed.names)
    if parsed.near:
        now = _now()
        current = Folder(parsed.dir).register().all_current()
        names += [one.wish.name for one in current if one.state(now) in {"soon", "near", "ended"}]
    elif not names:
        raise Rejected("name whose certificate is to be renewed, or say --near")
    if parsed.out is not None and len(names) > 1:
        raise Rejected("--out takes one bundle: renew one after another")
    longer = None if parsed.lifetime is None else lifetime(parsed.lifetime)
    return _done(parsed, lambda office: office.renew(names, longer, parsed.out))


async def _revoke(parsed: argparse.Namespace) -> Exit:
    return _done(parsed, lambda office: office.revoke(parsed.name))


async def _list(parsed: argparse.Namespace) -> Exit:
    folder = Folder(parsed.dir)
    return listing.show(folder.register(), folder.ca, _now(), as_json=parsed.json)


def _done(parsed: argparse.Namespace, act: Callable[[Office], None]) -> Exit:
    office = Office(Folder(parsed.dir), Passphrase.of(parsed), _now())
    act(office)
    terminal.write("".join(f"{line}\n" for line in office.told))
    return Exit.OK


def lifetime(text: str) -> timedelta:
    """Out of `12h`, `90d`, `1y`.

    Raises:
        Rejected: it is no such time.
    """
    found = _LIFETIME.fullmatch(text)
    if found is None:
        raise Rejected(f"--lifetime {text[:40]!a} is no time: write 12h, 90d or 1y")
    return int(found[1]) * _UNITS[found[2]]


def _now() -> datetime:
    # Certificates know no fractions of a second (RFC 5280, section 4.1.2.5).
    return datetime.now(UTC).replace(microsecond=0)
