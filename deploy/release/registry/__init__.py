"""The registry of images: what is pushed, by which digest, and what is known of it."""

from deploy.release.evidence.model import Evidence
from deploy.release.registry import evidence as attached
from deploy.release.registry.access import Access
from deploy.release.registry.client import Client
from deploy.release.registry.manifest import Manifest

__all__ = ["Access", "Manifest", "Registry"]


class Registry(Client):
    """All that a release asks of registries; see `Client` for manifests and tags."""

    async def evidence(
        self, image: str, digest: str, on_remark: attached.Remark = lambda _text: None
    ) -> tuple[Evidence, ...]:
        """What is kept at a digest, oldest first; see `deploy.release.registry.evidence`.

        Raises:
            Rejected: the registry will not.
            Unavailable: it is away.
        """
        return await attached.evidence(self, image, digest, on_remark)

    async def attach(self, image: str, digest: str, evidence: Evidence, report: bytes = b"") -> str:
        """Keeps evidence at a digest, and the report that it was read from; gives its tag.

        Raises:
            Rejected: there is no such digest, or the registry takes no such manifest.
            Conflict: others report the same check at the same moment.
            Unavailable: the registry is away.
        """
        return await attached.attach(self, image, digest, evidence, report)
