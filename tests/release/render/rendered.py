"""The applications of these tests, and what is rendered of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.release.app.model import App, Environment
from deploy.release.app.parsing import parse
from deploy.release.render import JavaMounts, files

FOLDER: Final = Path(__file__).parent
DIGEST: Final = "sha256:" + "4a" * 32
JAVA: Final = JavaMounts("/usr/lib/jvm/java-17", ("/etc/java-17", "/usr/lib/jvm/java-17"))
APPS: Final = {
    name: parse((FOLDER / name).read_text(encoding="utf-8"), name)
    for name in ("wharf.yaml", "fixed.yaml")
}
PLACES: Final = [(name, env) for name, app in APPS.items() for env in app.environments]


def rendered(app: App, environment: Environment, release: str = "r12") -> Mapping[str, str]:
    image = f"{app.image}@{DIGEST}"
    java = JAVA if app.build.java else None
    return files(app, environment, image, release, environment.replicas, java=java)
