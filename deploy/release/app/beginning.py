"""The first wharf.yaml of an application: a guess from what is in its folder."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

import deploy
from deploy.release.app import schema
from deploy.release.app.parsing import NAME, parse
from wharfinger.errors import Rejected
from wharfinger.files import write_atomically

TEMPLATE: Final = Path(deploy.__file__).parent / "images" / "app-template"
REGISTRY: Final = "localhost:5000"
_PLAIN: Final = ("Dockerfile", ".dockerignore")
_APPLICATION: Final = "app"
# The first that a folder has tells what it is written in.
_LAYERS: Final[Mapping[str, str]] = {
    "*.war": "tomcat",
    "pom.xml": "java",
    "build.gradle*": "java",
    "*.jar": "java",
    "pyproject.toml": "python",
    "requirements*.txt": "python",
    "nginx.conf": "nginx",
    "index.html": "nginx",
}
_OF_JAVA: Final = ("java", "tomcat")


def text(name: str, image: str, layer: str) -> str:
    """A wharf.yaml that works as it is, with what one changes first.

    Args:
        name: of the application.
        image: its repository in the registry.
        layer: image of the layer below.
    """
    # 2024 would be a number, and `on` no text.
    name = name if yaml.safe_load(name) == name else f"'{name}'"
    java = ", java: host" if layer in _OF_JAVA else ""
    return f"""\
# yaml-language-server: $schema={schema.NAME}
app: {name}
image: {image}  # its repository in the registry; each release goes by digest
build: {{layer: {layer}{java}}}  # the image below; an application changes its own layer only
health: {{http: /healthz, every: 2s, healthy: 2, unhealthy: 3, start: 30s}}
drain: 15s  # for traffic to move away before a stop
checks: [unit]  # what every release has to pass: deploy report unit junit.xml
environments:  # in the order in which a release is promoted
  integration: {{engine: compose, replicas: 1}}
  pre: {{mirrors: production, replicas: 1, needs: [checks]}}
  production: {{engine: compose, replicas: 2, needs: [checks, pre.smoke], approve: true}}
"""


def begin(
    folder: Path,
    *,
    name: str | None = None,
    image: str | None = None,
    layer: str | None = None,
    template: Path = TEMPLATE,
) -> tuple[Path, ...]:
    """Writes what is missing in a folder, and nothing over what is there; gives what it wrote.

    Args:
        folder: of the application.
        name: of the application; None for the folder's.
        image: its repository; None for one of that name in a registry on this host.
        layer: image of the layer below; None for what the files in the folder look like.
        template: folder with a Dockerfile.

    Raises:
        Rejected: there is a wharf.yaml already, or the folder cannot be written to.
        ConfigError: the name, the image or the layer cannot be used.
    """
    # A link that leads nowhere is there, too: what is written must not go where it points.
    if os.path.lexists(folder / NAME):
        raise Rejected(f"{folder / NAME} is there already: change it, or remove it first")
    named = name or _name(folder.resolve().name)
    content = text(named, image or f"{REGISTRY}/{named.lower()}", layer or _layer(folder))
    parse(content)
    written = []
    try:
        fresh = not any(folder.iterdir())
        for each in _PLAIN:
            if (template / each).is_file() and not os.path.lexists(folder / each):
                shutil.copyfile(template / each, folder / each)
                written.append(folder / each)
        if fresh and (template / _APPLICATION).is_dir():
            shutil.copytree(template / _APPLICATION, folder / _APPLICATION)
            written.append(folder / _APPLICATION)
        for name_of, said in ((schema.NAME, schema.text()), (NAME, content)):
            write_atomically(folder / name_of, said.encode(), durable=False)
    except OSError as error:
        raise Rejected(f"{folder}: {error.strerror or error}") from error
    return (*written, folder / schema.NAME, folder / NAME)


def _name(folder: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9]+", "-", folder, flags=re.ASCII).strip("-").lower()
    return plain[:40].rstrip("-") or "shop"


def _layer(folder: Path) -> str:
    return next((layer for glob, layer in _LAYERS.items() if any(folder.glob(glob))), "small")
