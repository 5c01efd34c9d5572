"""Which image is meant: a release by its name, a digest, or what was pushed last."""

from dataclasses import dataclass
from pathlib import Path

from deploy.release.app.model import App
from deploy.release.commands.site import Site
from deploy.release.records.pushes import Push, Pushes
from deploy.release.registry.push import PUSHED
from deploy.release.workingcopy import WorkingCopy
from wharfinger.errors import Rejected, Unavailable


@dataclass(frozen=True, slots=True)
class Chosen:
    """An image and its name.

    Attributes:
        release: `r12`; for a digest that was pushed otherwise, the beginning of that.
        image: `REPOSITORY@sha256:...`.
    """

    release: str
    image: str


async def chosen(
    site: Site, app: App, folder: Path, *, release: str = "", digest: str = ""
) -> Chosen:
    """The image that is meant.

    Args:
        site: whatever is outside.
        app: of wharf.yaml.
        folder: the working copy, which knows what was pushed from it.
        release: by name; empty for none.
        digest: itself; empty for none.

    Raises:
        Rejected: there is no such release, or none at all.
        Unavailable: etcd does not answer.
    """
    # What was pushed to another repository, before wharf.yaml named this one, is not here.
    pushes = [each for each in await Pushes(site.etcd, app.name).all() if each.image == app.image]
    if release:
        held = next((each.digest for each in pushes if each.release == release), None)
        return Chosen(release, f"{app.image}@{held or await _tagged(site, app, release)}")
    if digest:
        known = [each.release for each in pushes if each.digest == digest]
        return Chosen((known or [digest[:19]])[-1], f"{app.image}@{digest}")
    here = WorkingCopy(folder).read(PUSHED, Push)
    last = here if here is not None and here.image == app.image else next(reversed(pushes), None)
    if last is None:
        raise Rejected("nothing was pushed yet: run `deploy build` and `deploy push`")
    return Chosen(last.release, f"{app.image}@{last.digest}")


async def _tagged(site: Site, app: App, release: str) -> str:
    """The registry's tags outlive a lost etcd."""
    async with site.registry() as registry:
        digest = await registry.digest_of(app.image, release)
    if digest is None:
        raise Unavailable(f"{app.image} has no release {release}: `deploy push` makes them")
    return digest
