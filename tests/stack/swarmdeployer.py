"""One action of the Swarm engine, as a process of its own: it may be killed half-way.

`python -m tests.stack.swarmdeployer up|scale|down|running WISH`; WISH is JSON, a `Wish`.
"""

import asyncio
import json
import sys
import time

import msgspec
import yaml

from deploy.release.app.model import (
    App,
    Build,
    EngineName,
    Environment,
    Health,
    Order,
    Rollout,
    Serve,
)
from deploy.release.engine import Target
from deploy.release.engines.instances import Instances
from deploy.release.engines.swarm.docker import Manager
from deploy.release.engines.swarm.engine import SwarmEngine
from deploy.release.engines.swarm.registration import Registration
from deploy.release.render import files, project
from wharfinger.errors import WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.keys import Service
from wharfinger.sections import EtcdConfig

REPOSITORY = "127.0.0.1:5000/shop"


class Wish(msgspec.Struct, kw_only=True):
    """What shall run.

    Attributes:
        docker: address of a manager.
        etcd: addresses of its members; empty for none to be asked.
        image: by digest.
        release: its name.
        environment: in which.
        site: host name that it is served as.
        replicas: how many; 0 for one on each node.
        start_seconds: how long an instance may take.
        waits: whether there is a HEALTHCHECK that waits until the edges serve the instance.
    """

    docker: str
    etcd: list[str]
    image: str
    release: str
    environment: str = "prod"
    site: str = "shop.example"
    replicas: int = 3
    start_seconds: float = 20.0
    drain_seconds: float = 2.0
    waits: bool = True
    batch: int = 1
    hosts: str | None = None


class Telling:
    """Prints what happens, with seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def step(self, text: str) -> None:
        self._say(text)

    def waiting(self, what: str, done: int, of: int) -> None:
        self._say(f"... {what}: {done} of {of}")

    def output(self, line: str) -> None:
        self._say(f"    {line}")

    def _say(self, text: str) -> None:
        _print(f"{time.monotonic() - self._began:6.1f} {text}")


def target_of(wish: Wish) -> Target:
    environment = Environment(
        name=wish.environment,
        engine=EngineName.SWARM,
        replicas=wish.replicas,
        everywhere=not wish.replicas,
        docker=wish.docker,
        hosts=wish.hosts,
        rollout=Rollout(batch=wish.batch, order=Order.START_FIRST, monitor_seconds=2.0),
    )
    app = App(
        name="shop",
        image=REPOSITORY,
        build=Build(layer="none"),
        health=Health(start_seconds=wish.start_seconds, every_seconds=0.5, healthy=1),
        serve=Serve(host=wish.site),
        drain_seconds=wish.drain_seconds,
        environments={environment.name: environment},
    )
    return Target(
        app=app,
        environment=environment,
        image=wish.image,
        release=wish.release,
        replicas=wish.replicas,
    )


def stack_of(target: Target, wish: Wish) -> str:
    """The rendered file; without its HEALTHCHECK where that is wished."""
    rendered = files(target.app, target.environment, target.image, target.release, target.replicas)[
        "stack.yml"
    ]
    if wish.waits:
        return rendered
    content = yaml.safe_load(rendered)
    del content["services"][target.app.name]["healthcheck"]
    return json.dumps(content)


async def act(verb: str, wish: Wish) -> int:
    target = target_of(wish)
    manager = Manager(wish.docker, project(target.app, target.environment), "shop")
    async with Etcd(EtcdConfig(endpoints=wish.etcd or ["127.0.0.1:1"])) as etcd:
        telling = Telling()
        service = Service("shop", wish.environment)
        instances = Instances(etcd, service, by="tests", tell=telling.step)
        engine = SwarmEngine(
            manager,
            target.app,
            target.environment,
            render=lambda wanted: stack_of(wanted, wish),
            registration=Registration(instances, target.app) if wish.etcd else None,
        )
        try:
            match verb:
                case "up":
                    await engine.up(target, telling)
                case "scale":
                    await engine.scale(target, telling)
                case "down":
                    await engine.down(telling)
                case _:
                    for each in await engine.running():
                        _print(json.dumps(msgspec.to_builtins(each)))
        except WharfingerError as error:
            _print(f"{type(error).__name__} restored={getattr(error, 'restored', None)}: {error}")
            return error.exit_code
    return 0


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(asyncio.run(act(sys.argv[1], msgspec.json.decode(sys.argv[2], type=Wish))))
