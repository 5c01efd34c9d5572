"""The verbs `install` and `uninstall`: their flags, and what a command line asks for."""

import argparse
import os
from pathlib import Path
from typing import Final

from wharfinger.cli import Parser
from wharfinger.errors import Exit, Rejected
from wharfinger.operator.install import installing, runtime
from wharfinger.operator.install.installing import Request
from wharfinger.operator.install.programs import PROGRAM
from wharfinger.operator.install.runtime import DAEMON_JSON, LIB_DIR, Order
from wharfinger.operator.install.units import SECONDS
from wharfinger.operator.verbs import Verbs, add_config

INTERRUPTED: Final = "interrupted: run it again, and it goes on where it was"
EXAMPLES: Final = """\
  wharfinger install --role all                     one machine for everything, etcd on 127.0.0.1
  wharfinger install --role host --etcd e1:2379,e2:2379,e3:2379 --store https://logs:7280 \\
      --pki box1.tar                                a Docker host of a site
  wharfinger install --role edge --dry-run          every file and command, and nothing done
  wharfinger install --role host --runtime          and the runtime in front of runc

What was said stays: the next time --role alone is enough, and another role comes beside it.
Each flag is a variable, too: WHARFINGER_ROLE, WHARFINGER_STORE, WHARFINGER_PKI, and
WHARFINGER_SECTION__KEY for each setting.

exit codes: 0; 64 something that is needed was not said; 69 a finding that must be mended first, or
a daemon that failed; 75 a daemon that is not ready yet; 78 a mistake in the configuration
"""


def add_to(verbs: Verbs) -> None:
    """Adds `install` and `uninstall` to the command."""
    into = verbs.add(
        "install", _into, "put daemons on this host, and start them", interrupted=INTERRUPTED
    )
    into.formatter_class = argparse.RawDescriptionHelpFormatter
    into.epilog = EXAMPLES
    _add_role(into, "host, edge, store or all; several with commas between")
    _add_site(into)
    _add_ways(into)
    into.add_argument("--force", action="store_true", help="files changed by hand as well")
    into.add_argument("--no-input", action="store_true", help="ask nothing, terminal or not")
    into.add_argument("--no-start", action="store_true", help="start nothing")
    into.add_argument(
        "--wait", type=float, metavar="SECONDS", default=SECONDS, help="until all is ready"
    )
    _add_runtime(into)
    into.add_argument("--default", action="store_true", help="the runtime, for all new containers")
    out = verbs.add(
        "uninstall", _out, "take off this host what was installed", interrupted=INTERRUPTED
    )
    _add_role(out, "of these alone; unless given, all")
    _add_ways(out)
    out.add_argument(
        "--purge", action="store_true", help="data, secrets and files changed by hand as well"
    )
    out.add_argument("--force", action="store_true", help="though containers need the runtime")
    _add_runtime(out)


def _add_role(parser: Parser, told: str) -> None:
    parser.add_argument("--role", metavar="ROLE", help=told)


def _add_site(parser: Parser) -> None:
    site = parser.add_argument_group("what is written to the configuration")
    site.add_argument("--etcd", metavar="HOST:PORT,...", help="etcd.endpoints")
    site.add_argument("--address", metavar="IP", help="host.ip, where others reach this host")
    site.add_argument("--name", metavar="NAME", help="host.name")
    site.add_argument("--store", metavar="URL", help="where the log shipper sends lines")
    site.add_argument(
        "--store-listen",
        metavar="ADDRESS:PORT",
        help="logstore.listen; with tokens beyond loopback",
    )
    site.add_argument(
        "--pki", type=Path, metavar="FOLDER", help="certificates and secrets, by `wharfinger pki`"
    )
    site.add_argument("--no-nginx", action="store_true", help="an edge whose resources do without")
    site.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any other setting"
    )


def _add_ways(parser: Parser) -> None:
    parser.add_argument(
        "--root", type=Path, metavar="FOLDER", default=Path("/"), help="of another host; no starts"
    )
    parser.add_argument("--programs", metavar="FOLDER", help="that the units call")
    parser.add_argument("--dry-run", action="store_true", help="show it, and change nothing")
    parser.add_argument("--json", action="store_true", help="for programs")


def _add_runtime(parser: Parser) -> None:
    group = parser.add_argument_group("the runtime in front of runc")
    group.add_argument(
        "--runtime",
        action="store_true",
        help="that puts PORT into containers; alone or with a role",
    )
    add_config(parser)
    group.add_argument(
        "--daemon-json",
        type=Path,
        metavar="FILE",
        default=DAEMON_JSON,
        help=f"dockerd's own ({DAEMON_JSON})",
    )
    group.add_argument(
        "--lib-dir",
        type=Path,
        metavar="FOLDER",
        default=LIB_DIR,
        help=f"where its programs live ({LIB_DIR})",
    )
    parser.set_defaults(reads_config=True)


async def _into(parsed: argparse.Namespace) -> Exit:
    role = parsed.role or os.environ.get("WHARFINGER_ROLE")
    code = Exit.OK
    if role or not parsed.runtime:
        _refuse_mixed(parsed)
        code = await installing.install(_request(parsed, role))
    if parsed.runtime and code in (Exit.OK, Exit.TRY_LATER):
        # Its own verdict is the worse one: it changes Docker's file, or says why not.
        done = await runtime.install(_order(parsed, default=parsed.default))
        if done is not Exit.OK:
            return done
        return code if role else await _beside_runtime(parsed)
    return code


async def _beside_runtime(parsed: argparse.Namespace) -> Exit:
    """Has the registrar's unit follow a runtime that came or went alone."""
    if not installing.has_role("host"):
        return Exit.OK
    return await installing.install(_request(parsed, None))


async def _out(parsed: argparse.Namespace) -> Exit:
    if parsed.runtime:
        done = await runtime.uninstall(_order(parsed, force=parsed.force))
        if done is not Exit.OK:
            return done
        if parsed.role is None:
            return await _beside_runtime(parsed)
    _refuse_mixed(parsed)
    return await installing.uninstall(_request(parsed, parsed.role))


def _refuse_mixed(parsed: argparse.Namespace) -> None:
    if parsed.config is not None and not parsed.runtime:
        raise Rejected("the units read /etc/wharfinger/wharfinger.toml: leave out --config")
    if parsed.runtime and parsed.root != Path("/"):
        raise Rejected("--runtime asks the Docker of this host: leave out --root")


def _request(parsed: argparse.Namespace, role: str | None) -> Request:
    given = {key: getattr(parsed, key, None) for key in ("etcd", "address", "name", "store_listen")}
    keys = {"etcd": "etcd.endpoints", "address": "host.ip", "name": "host.name",
            "store_listen": "logstore.listen"}  # fmt: skip
    settings = {keys[key]: text for key, text in given.items() if text is not None}
    for each in getattr(parsed, "set", ()):
        key, equals, text = each.partition("=")
        if not equals:
            raise Rejected(f"--set {each[:80]!r} is not KEY=VALUE")
        settings[key] = text
    pki = getattr(parsed, "pki", None) or os.environ.get("WHARFINGER_PKI")
    return Request(
        root=parsed.root,
        role=role,
        settings=settings,
        store=getattr(parsed, "store", None) or os.environ.get("WHARFINGER_STORE"),
        pki=Path(pki) if pki else None,
        programs=parsed.programs,
        runtime=_has_runtime(parsed),
        nginx=not getattr(parsed, "no_nginx", False),
        force=parsed.force,
        start=not getattr(parsed, "no_start", False),
        wait_seconds=getattr(parsed, "wait", SECONDS),
        purge=getattr(parsed, "purge", False),
        dry_run=parsed.dry_run,
        as_json=parsed.json,
        asks=not (getattr(parsed, "no_input", True) or parsed.json),
    )


def _has_runtime(parsed: argparse.Namespace) -> bool:
    """Whether the runtime in front of runc is there, or will be when this has ended well."""
    if parsed.root != Path("/"):
        return False
    wanted = parsed.verb == "install" and parsed.runtime
    return bool(wanted or (parsed.lib_dir / PROGRAM).exists())


def _order(parsed: argparse.Namespace, *, default: bool = False, force: bool = False) -> Order:
    return Order(
        config=parsed.config,
        daemon_json=parsed.daemon_json,
        lib_dir=parsed.lib_dir.absolute(),
        default=default,
        force=force,
        dry_run=parsed.dry_run,
    )
