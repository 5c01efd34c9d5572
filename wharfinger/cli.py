"""The command line that every daemon has: run, check, config."""

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, NoReturn, TypeVar

import uvloop

from wharfinger import __version__, healthcheck, lifecycle, logs
from wharfinger.config import DEFAULT_PATH, MASK, Loaded, Section, load, needs_restart, walk
from wharfinger.errors import ConfigError, Conflict, Exit, Finding, WharfingerError
from wharfinger.interrupt import interruptible
from wharfinger.jsontext import encode_line
from wharfinger.sections import LogConfig
from wharfinger.servertls import TlsFiles
from wharfinger.text import printable, shortened

# user:password@ in a URL, wherever it was written.
_URL_SECRET: Final = re.compile(r"(?<=://)[^/@\s\"]+(?=@)")
CONFIG_HELP: Final = f"the configuration, if not {DEFAULT_PATH}"

M = TypeVar("M", bound=Section)


@dataclass(frozen=True, slots=True)
class Verb(Generic[M]):
    """A verb that only one daemon's command has.

    Attributes:
        name: as it is typed.
        summary: one line for --help.
        arguments: adds its own.
        run: does it.
    """

    name: str
    summary: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, M], Awaitable[Exit]]


@dataclass(frozen=True, slots=True)
class Command(Generic[M]):
    """A daemon's command.

    Attributes:
        name: of the command, the section and the metrics.
        summary: one line for --help.
        model: the whole configuration that this daemon reads.
        listen: its address for health endpoints.
        log: its [log] section.
        make: builds the daemon.
        findings: looks at everything reachable for `check`; yields what is wrong.
        offline: looks at what the configuration names on this host, for `check --offline`; whoever
            is away just now must not keep a sound configuration from being taken up.
        arguments: adds the daemon's own flags to `run`.
        settings: flags that are short for one setting, as every verb takes them: the key of each.
        run: runs once instead of as a daemon; returns None to run as a daemon.
        checking: adds the daemon's own flags to `check`.
        checked: looks at what these flags name instead; None to look at everything reachable.
        remarks: what `check` shows as well, though nothing is wrong with it.
        seen: the same of whoever was reached.
        verbs: further ones.
        tls: what its address is served over TLS with; None without.
    """

    name: str
    summary: str
    model: type[M]
    listen: Callable[[M], str]
    log: Callable[[M], LogConfig]
    make: Callable[[M, lifecycle.Scope], lifecycle.Daemon[M]]
    findings: Callable[[M], Awaitable[Sequence[Finding]]]
    offline: Callable[[M], Sequence[Finding]] = field(default=lambda _config: ())
    arguments: Callable[[argparse.ArgumentParser], None] = field(default=lambda _parser: None)
    settings: Mapping[str, str] = field(default_factory=dict)
    run: Callable[[argparse.Namespace, M], Awaitable[Exit | None]] | None = None
    checking: Callable[[argparse.ArgumentParser], None] = field(default=lambda _parser: None)
    checked: Callable[[argparse.Namespace, M], Awaitable[Sequence[Finding]] | None] = field(
        default=lambda _parsed, _config: None
    )
    remarks: Callable[[M], Sequence[Finding]] = field(default=lambda _config: ())
    seen: Callable[[M], Awaitable[Sequence[Finding]]] | None = None
    verbs: Sequence[Verb[M]] = ()
    tls: Callable[[M], TlsFiles | None] = field(default=lambda _config: None)


def reread(command: Command[M], parsed: argparse.Namespace, running: M) -> M:
    """Reads the configuration again, for SIGHUP.

    Raises:
        ConfigError: it has a fault, or changes what only a restart can apply.
    """
    loaded = load_from(command, parsed)
    if keys := needs_restart(command.model, running, loaded.value):
        fix = "restart the daemon to apply it"
        raise ConfigError(
            Finding(key, "cannot change in a running daemon", fix, loaded.origins.get(key, ""))
            for key in keys
        )
    return loaded.value


def run(command: Command[M], arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command and exits with one of the documented codes."""
    parsed = parser_of(command).parse_args(arguments)
    finish(
        command.name,
        lambda: _VERBS.get(parsed.verb, _further)(command, parsed),
        reader_may_leave=parsed.verb != "run",
    )


def finish(
    name: str,
    work: Callable[[], Exit],
    *,
    reader_may_leave: bool = True,
    interrupted: str | None = None,
) -> NoReturn:
    """Does the work and exits with one of the documented codes, whatever goes wrong in it.

    Args:
        name: of the command, before each complaint.
        work: gives the code.
        reader_may_leave: stdout is for someone who may have seen enough: `registrar config | head`.
        interrupted: what to say where Ctrl-C ends it too early, and what follows it in a shell
            must not be done; None where Ctrl-C is how it ends.
    """
    code: int
    try:
        code = work()
    except KeyboardInterrupt:
        code = Exit.OK
        if interrupted is not None:
            code = _told(name, Conflict(interrupted))
    except BrokenPipeError as error:
        code = Exit.OK if reader_may_leave else _told(name, error)
    except Exception as error:  # noqa: BLE001 - every failure has its exit code
        code = _told(name, error)
    _flush()
    sys.exit(code)


def _told(name: str, error: BaseException) -> int:
    """Says what went wrong, and how the process ends for it."""
    errors = list(_leaves(error))
    findings = [f for e in errors if isinstance(e, ConfigError) for f in e.findings]
    if findings:
        for finding in findings:
            _say(f"{name}: {finding}")
        return Exit.CONFIG
    known = [e for e in errors if isinstance(e, WharfingerError)]
    if len(known) == len(errors) and known[0].exit_code != Exit.BUG:
        for expected in known:
            _say(printable(f"{name}: {expected}"))
        return known[0].exit_code
    # Whatever is left is our fault: say all. Through the log, where hostile text is harmless.
    logs.LOGGER.critical("unexpected failure", exc_info=error)
    return Exit.BUG


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def load_from(command: Command[M], parsed: argparse.Namespace) -> Loaded[M]:
    """The configuration as this command line asks for it.

    Raises:
        ConfigError: with every finding.
    """
    flags: dict[str, str] = {}
    for setting in [*parsed.set, *getattr(parsed, "set_after", ())]:
        key, equals, text = setting.partition("=")
        if not equals:
            shown = shortened(setting, 80)
            raise ConfigError([Finding(f"--set {shown}", "is not KEY=VALUE")])
        flags[key] = text
    return load(command.model, path=parsed.config, flags=flags)


def _run(command: Command[M], parsed: argparse.Namespace) -> Exit:
    loaded = load_from(command, parsed)
    _configure_logs(command, loaded.value)

    def make(scope: lifecycle.Scope) -> lifecycle.Daemon[M]:
        scope.config_path = loaded.path
        return command.make(loaded.value, scope)

    async def whole() -> Exit:
        if command.run is not None:
            done = await command.run(parsed, loaded.value)
            if done is not None:
                return done
        await lifecycle.live(
            command.name,
            command.listen(loaded.value),
            make,
            lambda: reread(command, parsed, loaded.value),
            applied=lambda config: _configure_logs(command, config),
        )
        return Exit.OK

    return uvloop.run(whole())


def _configure_logs(command: Command[M], config: M) -> None:
    log = command.log(config)
    logs.configure(
        command.name, level=log.level, style=log.format, under_journald=logs.under_journald()
    )


def _check(command: Command[M], parsed: argparse.Namespace) -> Exit:
    findings: Sequence[Finding]
    remarks: Sequence[Finding] = ()
    try:
        loaded = load_from(command, parsed)
        remarks = command.remarks(loaded.value)
        if parsed.offline:
            findings = command.offline(loaded.value)
        else:
            asked = command.checked(parsed, loaded.value)
            findings = interruptible(_gathered(asked or command.findings(loaded.value)))
            if asked is None and command.seen is not None:
                remarks = [*remarks, *interruptible(_gathered(command.seen(loaded.value)))]
    except ConfigError as error:
        findings = error.findings
    if parsed.json:
        told = {"findings": list(findings), "remarks": list(remarks)}
        print(encode_line(told).decode())  # noqa: T201 - for programs
        return Exit.CONFIG if findings else Exit.OK
    for remark in remarks:
        print(f"warning: {remark}")  # noqa: T201 - this is the command's output
    for finding in findings:
        print(finding)  # noqa: T201 - this is the command's output
    if findings:
        return Exit.CONFIG
    where = loaded.path or "defaults, no file"
    print(f"{command.name}: nothing wrong found ({where})")  # noqa: T201
    return Exit.OK


def _further(command: Command[M], parsed: argparse.Namespace) -> Exit:
    config = load_from(command, parsed).value
    verb = next(verb for verb in command.verbs if verb.name == parsed.verb)

    async def whole() -> Exit:
        return await verb.run(parsed, config)

    return interruptible(whole())


async def _gathered(findings: Awaitable[Sequence[Finding]]) -> Sequence[Finding]:
    return await findings


def _config(command: Command[M], parsed: argparse.Namespace) -> Exit:
    loaded = load_from(command, parsed)
    for key, described, value in walk(command.model, loaded.value):
        shown = MASK if described.secret and value is not None else _shown(value)
        source = printable(loaded.origin(key))
        print(f"{key} = {shown}  # {source}")  # noqa: T201 - this is the command's output
    return Exit.OK


def _healthcheck(command: Command[M], parsed: argparse.Namespace) -> Exit:
    config = load_from(command, parsed).value
    return healthcheck.ask(command.name, command.listen(config), command.tls(config), parsed)


_VERBS: dict[str, Callable[[Any, argparse.Namespace], Exit]] = {
    "run": _run,
    "check": _check,
    "config": _config,
    "healthcheck": _healthcheck,
}


def _shown(value: object) -> str:
    return _URL_SECRET.sub(MASK, encode_line(value).decode())


def parser_of(command: Command[M]) -> "Parser":
    """What understands its command line."""
    parser = Parser(prog=command.name, description=command.summary)
    parser.add_argument("--version", action="version", version=f"{command.name} {__version__}")
    common = Parser(add_help=False)
    common.add_argument(
        "--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help=CONFIG_HELP
    )
    parser.add_argument("--config", type=Path, metavar="FILE", default=None, help=CONFIG_HELP)
    for target, name in ((parser, "set"), (common, "set_after")):
        # Two names: a subcommand's list would otherwise replace the one before the verb.
        target.add_argument(
            "--set",
            dest=name,
            action="append",
            metavar="KEY=VALUE",
            default=[],
            help="one setting, above file and environment: --set etcd.prefix=/site",
        )
        for flag, key in command.settings.items():
            target.add_argument(
                flag,
                dest=name,
                action="append",
                type=f"{key}={{}}".format,
                metavar=key.rpartition(".")[2].upper(),
                default=[],
                help=f"short for --set {key}=",
            )
    parser.set_defaults(verb="run")
    verbs = parser.add_subparsers(metavar="VERB")
    run_parser = verbs.add_parser("run", parents=[common], help="run the daemon (the default)")
    command.arguments(run_parser)
    for action in run_parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if action.dest not in {"set_after", "config"}:
            # `discovery --once run`: an unset flag behind the verb must not unset the one before.
            action.default = argparse.SUPPRESS
    check = verbs.add_parser("check", parents=[common], help="check configuration and surroundings")
    check.add_argument("--json", action="store_true", help="for programs")
    check.add_argument(
        "--offline", action="store_true", help="the configuration alone: ask etcd and nobody else"
    )
    command.checking(check)
    verbs.add_parser("config", parents=[common], help="print every setting and its origin")
    healthcheck.add_flags(
        verbs.add_parser("healthcheck", parents=[common], help="ask the one that runs: exit 0 or 1")
    )
    for further in command.verbs:
        further.arguments(verbs.add_parser(further.name, parents=[common], help=further.summary))
    for verb, sub in verbs.choices.items():
        sub.set_defaults(verb=verb)
    command.arguments(parser)
    return parser


class Parser(argparse.ArgumentParser):
    """Takes no abbreviation, and ends a wrong use with its documented code."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(allow_abbrev=False, **arguments)

    def error(self, message: str) -> NoReturn:
        """Says how it is used and what was wrong, and exits with 64."""
        self.print_usage(sys.stderr)
        _say(printable(f"{self.prog}: {message}"))
        sys.exit(Exit.USAGE)


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr)  # noqa: T201 - for the person at the terminal


def _flush() -> None:
    """Makes a closed stdout or stderr known now; at exit Python would turn it into code 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                descriptor = os.open(os.devnull, os.O_WRONLY)
                os.dup2(descriptor, stream.fileno())
                os.close(descriptor)
