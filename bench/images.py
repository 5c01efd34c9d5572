"""What the three rules of an image are worth: sizes, and bytes that each push stores in a registry.

    python bench/images.py

Each rule kept beside the same rule broken, on one Debian layer, pushed to one registry whose files
are counted: the first push of the image, without the layer that all share, and that of a change of
4 kB in the application. Beside it stands what the latter is when `deploy build` has built it, or
what that refuses. Packages come from where the Debian layer has them.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from deploy.release.app.model import App, Build
from deploy.release.images import building, layers
from deploy.release.images.building import build
from deploy.release.images.docker import Docker
from tests.stack.debian import debian_root
from tests.stack.registry import RegistryServer
from wharfinger.errors import ConfigError
from wharfinger.operator.parts.dockerd import DockerDaemon

APPLICATION = "COPY app /app"
NGINX = "install-packages nginx-light"
JDK = "install-packages openjdk-17-jre-headless"


@dataclass(frozen=True)
class Case:
    """A Dockerfile on the Debian layer, or on `layer`."""

    rule: str
    what: str
    steps: tuple[str, ...]
    layer: str = "debian"
    java: bool = False


CASES = (
    Case("1", "installed and cleaned in one RUN", (f"RUN {NGINX}", APPLICATION)),
    Case(
        "1",
        "cleaned in a later RUN",
        (
            "RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light",
            "RUN rm -rf /var/lib/apt/lists/* /var/cache/apt/* /usr/share/doc/* /usr/share/locale/*",
            APPLICATION,
        ),
    ),
    Case("2", "the host's JDK is mounted", (APPLICATION,), layer="java", java=True),
    Case("2", "the JDK is in the image", (f"RUN {JDK}", APPLICATION)),
    Case("3", "application last", (f"RUN {NGINX}", APPLICATION)),
    Case("3", "application before the packages", (APPLICATION, f"RUN {NGINX}")),
)


class Quiet:
    """Tells nobody."""

    def step(self, text: str) -> None:
        pass

    def waiting(self, what: str, done: int, of: int) -> None:
        pass

    def output(self, line: str) -> None:
        pass


def stored(registry: RegistryServer) -> int:
    """Bytes that the registry has on its disk of layers, configurations and manifests."""
    return sum(file.stat().st_size for file in registry.data.rglob("data") if file.is_file())


class Bench:
    """An engine, a registry and the layers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.docker = DockerDaemon(folder / "docker")
        self.registry = RegistryServer(folder / "registry")
        self.number = 0

    async def start(self) -> None:
        await self.docker.start()
        await self.registry.start()
        root = await asyncio.to_thread(debian_root)
        for recipe in layers.wanted(["java", "small"]):
            arguments = ("--root", root) if recipe.name == "debian" else ()
            await layers.make(recipe, "wharfinger", Quiet(), self.docker.url, arguments=arguments)
            await self.push(f"wharfinger/{recipe.name}", f"layers/{recipe.name}")

    async def push(self, image: str, name: str) -> int:
        """Pushes it; gives what the registry stored for it."""
        before = stored(self.registry)
        reference = f"{self.registry.address}/{name}"
        await self.docker.run("tag", image, reference)
        await self.docker.run("push", "--quiet", reference, timeout_seconds=600)
        return stored(self.registry) - before

    async def case(self, case: Case) -> tuple[str, ...]:
        """Builds it as docker does, pushes it and a change of it, and asks `deploy build`."""
        self.number += 1
        folder = self.folder / f"case{self.number}"
        (folder / "app").mkdir(parents=True)
        text = "\n".join(("ARG LAYER", "FROM ${LAYER}", "USER root", *case.steps, "USER app", ""))
        (folder / "Dockerfile").write_text(text, encoding="ascii")
        pushes = []
        for change in range(2):
            (folder / "app" / "application").write_bytes(os.urandom(4096))
            tag = f"case{self.number}:{change}"
            words = ("build", "--quiet", "--network", "host", "--tag", tag, "--build-arg")
            layer = f"LAYER=wharfinger/{case.layer}"
            # Without this the case before would have made the packages' layer already.
            fresh = ("--no-cache",) if change == 0 else ()
            await self.docker.run(*words, layer, *fresh, folder, timeout_seconds=900)
            pushes.append(await self.push(tag, f"case{self.number}:{change}"))
        size = int(await self.docker.run("image", "inspect", "--format={{.Size}}", tag))
        figures = (f"{bytes_ / 1e6:.3f}" for bytes_ in (size, *pushes))
        return (*figures, await self.built(case, folder))

    async def built(self, case: Case, folder: Path) -> str:
        """What the push of a change stores if `deploy build` built both, or what it refuses."""
        app = App(
            name="shop",
            image="registry.example/shop",
            build=Build(layer=f"wharfinger/{case.layer}", java=case.java),
        )
        stored_bytes = 0
        for change in range(2):
            (folder / "app" / "application").write_bytes(os.urandom(4096))
            os.environ["SOURCE_DATE_EPOCH"] = str(1_790_000_000 + change)
            try:
                await build(app, folder, Quiet(), self.docker.url, update_lock=True)
            except ConfigError as error:
                return f"refuses {error.findings[0].where[:40]}"
            name = f"case{self.number}-built:{change}"
            stored_bytes = await self.push(f"{app.image}:built", name)
        return f"{stored_bytes / 1e6:.3f}"


class OnHostNetwork(Docker):
    """Builds on the host's network: the engine of this bench has no bridge."""

    async def build(
        self, context: Path, dockerfile: Path, options: Sequence[str], id_file: Path
    ) -> None:
        words = [*options, "--network", "host"]
        await super().build(context, dockerfile, words, id_file)


async def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="wf-", dir="/tmp"))
    bench = Bench(folder)
    table = Table(box=box.SIMPLE, title="MB, on layers that the registry has")
    for column in ("rule", "what", "image", "first push", "a change", "the same by deploy build"):
        table.add_column(column)
    building.Docker = OnHostNetwork  # type: ignore[misc]
    try:
        await bench.start()
        for case in CASES:
            table.add_row(case.rule, case.what, *await bench.case(case))
        sizes = await bench.docker.run(
            "images", "--format={{.Repository}} {{.Size}}", "wharfinger/*"
        )
        print(sizes)
    finally:
        await bench.registry.stop()
        await bench.docker.stop()
        shutil.rmtree(folder)
    Console(width=200).print(table)


if __name__ == "__main__":
    asyncio.run(main())
