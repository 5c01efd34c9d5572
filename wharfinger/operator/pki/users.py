"""`wharfinger pki users`: etcd's users and roles, as the authority's register has them."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

import msgspec

from wharfinger import certificate
from wharfinger.errors import ConfigError, Exit, Finding, Rejected
from wharfinger.etcd import Etcd
from wharfinger.etcd.users import Users
from wharfinger.operator import settings, terminal
from wharfinger.operator.pki import rights
from wharfinger.operator.pki.bundle import CA, CERTIFICATE, KEY
from wharfinger.operator.pki.difference import (
    AddRole,
    AddUser,
    DeleteRole,
    DeleteUser,
    Enable,
    Give,
    Grant,
    Step,
    Take,
    Withdraw,
    steps,
)
from wharfinger.operator.pki.folder import Folder
from wharfinger.operator.pki.model import ROOT, Register
from wharfinger.operator.pki.rights import Standing
from wharfinger.sections import EtcdConfig


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its flags."""
    parser.add_argument("--endpoints", metavar="A:2379,B:2379", help="if not [etcd] endpoints")
    parser.add_argument(
        "--pki", type=Path, metavar="FOLDER", help="an administrator's bundle; found by itself"
    )
    parser.add_argument(
        "--root-password-file", type=Path, metavar="FILE", help="be etcd's root by its password"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")


async def run(parsed: argparse.Namespace) -> Exit:
    """Makes them so; begun again, nothing is done twice.

    Raises:
        ConfigError: nobody could change anything once users count.
        Unavailable: etcd does not answer.
        Rejected: etcd refuses it.
    """
    folder = Folder(parsed.dir)
    register = folder.register()
    config = _config(parsed, folder, register)
    current = list(register.all_current())
    want = rights.wanted(current, config.prefix)
    _require_admin(config, want)
    async with Etcd(config) as etcd:
        users = etcd.users
        enabled = await users.enabled()
        have = Standing(await users.all_users(), await users.all_roles())
        found = steps(have, want, rights.ours(current), enabled=enabled)
        for step in found:
            if not parsed.dry_run:
                await _take(users, step)
            terminal.write(f"{'would ' if parsed.dry_run else ''}{step}\n")
    if not found:
        terminal.write("nothing to do: etcd has every user and role\n")
    return Exit.OK


def _config(parsed: argparse.Namespace, folder: Folder, register: Register) -> EtcdConfig:
    config = settings.etcd(parsed.config)
    if parsed.endpoints:
        config = msgspec.structs.replace(config, endpoints=tuple(parsed.endpoints.split(",")))
    # Made anew: what was said on the command line is checked as what stands in the file.
    if problems := list(config.problems()):
        raise ConfigError(problems)
    by_password = parsed.root_password_file
    pair = parsed.pki or next(_bundles(folder, register), None)
    files = (None, None, None) if pair is None else (pair / CA, pair / CERTIFICATE, pair / KEY)
    if by_password is not None:
        return msgspec.structs.replace(
            config,
            username=ROOT,
            password_file=by_password,
            ca_file=config.ca_file or folder.path / CA,
            cert_file=config.cert_file or files[1],
            key_file=config.key_file or files[2],
        )
    if pair is None:
        fix = f"wharfinger pki issue NAME --role admin --dir {folder.path}, or --root-password-file"
        raise ConfigError([Finding("--pki", "no administrator's bundle is here", fix)])
    return msgspec.structs.replace(
        config,
        username=None,
        password_file=None,
        ca_file=files[0],
        cert_file=files[1],
        key_file=files[2],
    )


def _bundles(folder: Folder, register: Register) -> Iterator[Path]:
    for one in register.all_current():
        path = folder.bundle(one.wish.name)
        if "admin" in one.wish.roles and one.revoked is None and (path / KEY).exists():
            yield path


def _require_admin(config: EtcdConfig, want: Standing) -> None:
    """Who turns users on must be able to go on afterwards."""
    if config.username is not None or config.cert_file is None:
        return
    name = certificate.common_name_of(config.cert_file)
    if ROOT not in want.users.get(name, frozenset()):
        raise Rejected(
            f"{config.cert_file} is {name or 'nobody'}'s, who is no administrator in the register:"
            " name another bundle with --pki"
        )


async def _take(users: Users, step: Step) -> None:
    match step:
        case AddRole(role):
            await users.add_role(role)
        case DeleteRole(role):
            await users.delete_role(role)
        case Grant(role, may):
            await users.grant(role, may)
        case Withdraw(role, may):
            await users.withdraw(role, may.keys)
        case AddUser(user):
            await users.add_user(user)
        case DeleteUser(user):
            await users.delete_user(user)
        case Give(user, role):
            await users.give(user, role)
        case Take(user, role):
            await users.take(user, role)
        case Enable():
            await users.enable()
        case _:
            assert_never(step)
