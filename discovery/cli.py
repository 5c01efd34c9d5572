"""The command `discovery`."""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from discovery import rollback
from discovery.builtin.certificates import Certificates
from discovery.builtin.config import NginxConfig
from discovery.confd import flags
from discovery.config import Config
from discovery.daemon import Discovery
from discovery.nginx import sockets
from discovery.once import differences, findings_with, publish_once
from discovery.resources.render import compile_template
from discovery.resources.resources import Resource, find_resources, load_resources
from wharfinger import cli, etcdcheck
from wharfinger.errors import ConfigError, Exit, Finding, Rejected
from wharfinger.logtext import harmless
from wharfinger.sections import HostConfig


def main() -> None:
    """Runs `discovery`."""
    cli.finish("discovery", lambda: _main(sys.argv[1:]))


def _main(arguments: Sequence[str]) -> Exit:
    ours = flags.translated(arguments, os.environ, read=_text_of, password_file=_private_file)
    cli.run(COMMAND, ours)


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Rejected(f"{path} cannot be read: {error}") from None


def _private_file(password: str) -> str:
    """A file without a name, for as long as this process lives: the settings know files only."""
    descriptor = os.memfd_create("password")
    os.write(descriptor, password.encode())
    return f"/proc/self/fd/{descriptor}"


async def findings(config: Config) -> Sequence[Finding]:
    """What is wrong with resources, templates, commands and etcd."""
    return [*_of_resources(config), *await etcdcheck.findings(config.etcd)]


def remarks(config: Config) -> Sequence[Finding]:
    """What is not wrong, and is to be known."""
    return [*find_resources(config.discovery).passed_over, *etcdcheck.remarks(config.etcd)]


def offline(config: Config) -> Sequence[Finding]:
    """What is wrong with resource files and templates: no start of theirs could be better."""
    try:
        resources = load_resources(config.discovery)
    except ConfigError as error:
        return error.findings
    return [finding for resource in resources for finding in _template_findings(resource)]


def _of_resources(config: Config) -> Sequence[Finding]:
    found: list[Finding] = []
    resources: tuple[Resource, ...] = ()
    try:
        resources = load_resources(config.discovery)
    except ConfigError as error:
        found.extend(error.findings)
    for resource in resources:
        found.extend(_resource_findings(resource))
        if resource.nginx is not None:
            found.extend(_nginx_findings(resource.nginx, config.host))
    return found


def _template_findings(resource: Resource) -> Iterator[Finding]:
    try:
        compile_template(resource.template)
    except Rejected as error:
        yield Finding(resource.name, str(error), "mend the template")


def _resource_findings(resource: Resource) -> Iterator[Finding]:
    yield from _template_findings(resource)
    for where in ("check_cmd", "reload_cmd"):
        command = getattr(resource, where)
        if resource.shell and command and (why := _unparsed(command)):
            yield Finding(f"{resource.name}.{where}", why, "mend the command")
        words = [] if resource.shell else shlex.split(command)
        if words and shutil.which(words[0]) is None:
            fix = "install it, or write the whole path"
            yield Finding(f"{resource.name}.{where}", f"no program {words[0]!r} found", fix)
    folder = resource.dest.parent
    if not folder.is_dir():
        if not resource.mkdir:
            fix = "make it, or write mkdir = true"
            yield Finding(f"{resource.name}.dest", f"no folder {folder}", fix)
    # By what we may do, not by who began us: capabilities of a user's process count.
    elif not os.access(folder, os.W_OK, effective_ids=True):
        fix = "run as its owner, or with CAP_DAC_OVERRIDE and the folder among ReadWritePaths="
        yield Finding(f"{resource.name}.dest", f"{folder} cannot be written", fix)


def _unparsed(command: str) -> str:
    """What the shell does not understand of it; it runs nothing."""
    told = subprocess.run(
        ["/bin/sh", "-n", "-c", command], capture_output=True, text=True, check=False
    )
    return told.stderr.strip() if told.returncode else ""


def _nginx_findings(nginx: NginxConfig, host: HostConfig) -> Iterator[Finding]:
    if nginx.mode != "reload":
        try:
            why = sockets.problem(nginx.pushed_at(host.runtime_dir))
        except OSError as error:
            why = f"{error.filename}: {error.strerror}"
        if why:
            yield Finding("discovery.nginx.push_socket", why, 'or write mode = "reload"')
    if nginx.tls_dir is None:
        return
    if not nginx.tls_dir.is_dir():
        fix = "make it, or leave tls_dir out"
        yield Finding("discovery.nginx.tls_dir", f"no folder {nginx.tls_dir}", fix)
        return
    names = {path.name.removesuffix(".crt") for path in nginx.tls_dir.iterdir()}
    certificates = Certificates(nginx.tls_dir)
    certificates.of(sorted(names))
    for problem in certificates.problems:
        yield Finding("discovery.nginx.tls_dir", problem, "put a certificate and its own key there")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="render once and leave")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would change, write nothing"
    )

    _data(parser)


def _data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="JSON that is read in the place of etcd"
    )


async def _run(parsed: argparse.Namespace, config: Config) -> Exit | None:
    if parsed.dry_run:
        code, lines = await differences(config, parsed.data)
    elif parsed.data:
        raise Rejected("--data is for --dry-run and for check: nothing made up is written")
    elif parsed.once:
        code, lines = await publish_once(config)
    else:
        return None
    for line in lines:
        print(_fit(line, terminal=sys.stdout.isatty()))  # noqa: T201 - this is the command's output
    return code


def _fit(text: str, *, terminal: bool) -> str:
    """What etcd holds must not drive a terminal; a program, `patch` above all, gets it as it is."""
    if not terminal:
        return text
    return "\n".join(harmless(line, colours=False) for line in text.split("\n"))


COMMAND: Final = cli.Command(
    name="discovery",
    summary="Renders configuration from etcd, checks it, swaps it in, reloads.",
    model=Config,
    listen=lambda config: config.discovery.listen,
    log=lambda config: config.log,
    make=Discovery,
    findings=findings,
    offline=offline,
    arguments=_arguments,
    settings={"--confdir": "discovery.confdir", "--exec": "discovery.exec.command"},
    run=_run,
    checking=_data,
    checked=lambda parsed, config: findings_with(config, parsed.data) if parsed.data else None,
    remarks=remarks,
    verbs=(
        cli.Verb("history", "what was served", rollback.history_arguments, rollback.history),
        cli.Verb(
            "rollback",
            "put a former file back, and leave it there",
            rollback.rollback_arguments,
            rollback.rollback,
        ),
    ),
)
