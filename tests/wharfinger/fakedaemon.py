"""A daemon that misbehaves as its configuration says, run as a real process by the tests."""

import argparse
import asyncio
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from wharfinger import cli, config, lifecycle, sections
from wharfinger.errors import ConfigError, Exit, Finding, Rejected, Unavailable


class RegistrarConfig(config.Section, frozen=True, kw_only=True):
    listen: Annotated[str, config.doc("HOST:PORT.", restart=True)] = "127.0.0.1:7201"
    does: Annotated[str, config.doc("How it misbehaves.")] = ""
    token: Annotated[str | None, config.doc("Secret.", secret=True)] = None
    url: Annotated[str, config.doc("Somewhere.")] = "http://example.com"

    def problems(self) -> Iterator[Finding]:
        if self.does == "bad":
            yield Finding("does", "is bad")


class Config(config.Section, frozen=True, kw_only=True):
    log: sections.LogConfig = sections.LogConfig()
    registrar: RegistrarConfig = RegistrarConfig()


class Fake:
    def __init__(self, given: Config, scope: lifecycle.Scope) -> None:
        self.scope = scope
        self.does = given.registrar.does
        scope.health.check("etcd").ok()

    @asynccontextmanager
    async def resource(self, name: str) -> Any:
        yield name
        self.scope.events.emit("closed", name=name)

    async def start(self) -> None:
        await self.scope.enter(self.resource("first"))
        match self.does:
            case "wait":
                await asyncio.Event().wait()
            case "start fails":
                raise RuntimeError("bug \x1b[31m")
            case "unavailable":
                raise Unavailable("etcd is down")
            case "groups":
                async with asyncio.TaskGroup() as group:
                    group.create_task(self.refuse("a"))
                    group.create_task(self.refuse("b"))
            case "task ends":
                self.scope.spawn("short", asyncio.sleep(0.01))
            case "hang":
                asyncio.get_running_loop().call_later(0.3, time.sleep, 3)
        self.scope.spawn("loop", self.loop())

    async def refuse(self, key: str) -> None:
        raise ConfigError([Finding(key, "is wrong")])

    async def loop(self) -> None:
        await asyncio.Event().wait()

    async def drain(self) -> None:
        self.scope.events.emit("drains")
        if self.does == "drain hangs":
            await asyncio.Event().wait()

    def status(self) -> dict[str, Any]:
        return {"does": self.does}

    async def reload(self, given: Config) -> None:
        self.does = given.registrar.does


async def findings(given: Config) -> Sequence[Finding]:
    if given.registrar.does == "unreachable":
        return [Finding("registrar.url", "does not answer"), Finding("docker", "neither")]
    return []


def offline(given: Config) -> Sequence[Finding]:
    if given.registrar.does == "broken":
        return [Finding("template", "is broken")]
    return []


async def seen(given: Config) -> Sequence[Finding]:
    return [Finding("registrar.url", "ends soon")] if given.registrar.does == "end" else []


async def once(parsed: argparse.Namespace, given: Config) -> Exit | None:
    if parsed.once:
        print("once", given.registrar.does)  # noqa: T201 - what the test reads
        if given.registrar.does == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(5)
        if given.registrar.does == "reject":
            raise Rejected("no")
        return Exit.OK
    return None


def command() -> cli.Command[Config]:
    return cli.Command(
        name="registrar",
        summary="A fake.",
        model=Config,
        listen=lambda given: given.registrar.listen,
        log=lambda given: given.log,
        make=Fake,
        findings=findings,
        offline=offline,
        seen=seen,
        arguments=lambda parser: parser.add_argument("--once", action="store_true") and None,
        settings={"--does": "registrar.does"},
        run=once,
    )


if __name__ == "__main__":
    cli.run(command())
