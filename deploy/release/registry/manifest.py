"""What a registry holds of an image: its manifest, which is what the digest is of.

Sources: distribution's image manifest v2 schema 2; OCI image-spec v1.1, manifest.md.
"""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from wharfinger.errors import Rejected

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
TYPES: Final = (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX)
# What distribution takes at most.
MAX_BYTES: Final = 4 << 20

_Size = Annotated[int, msgspec.Meta(ge=0)]
# RFC 6838, 4.2, and image-spec's descriptor.md: nothing that a terminal or a path could mistake.
_MediaType = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9!#$&^_.+/;= -]{0,255}\Z")]
_Digest = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z0-9]+([+._-][a-z0-9]+)*:[A-Za-z0-9=_-]{1,256}\Z")
]


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A reference to what is elsewhere in the registry.

    Attributes:
        media_type: what it is.
        digest: where it is, and that it is that.
        size: in bytes.
        annotations: what its author wrote to it.
    """

    media_type: _MediaType
    digest: _Digest
    size: _Size
    annotations: dict[str, str] = {}


class Contents(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a manifest says; `manifests` of a list or an index, the others of one image.

    Attributes:
        schema_version: 2.
        media_type: of itself, where it says so.
        artifact_type: of what is no image.
        config: how it runs; of evidence, the evidence.
        layers: what it is made of; of evidence, the report.
        subject: what it is about.
        manifests: of each platform.
        annotations: what its author wrote to it.
    """

    schema_version: int
    media_type: _MediaType = ""
    artifact_type: _MediaType = ""
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    manifests: tuple[Descriptor, ...] = ()
    annotations: dict[str, str] = {}


_CONTENTS: Final = msgspec.json.Decoder(Contents)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as the registry gave it, to the byte.

    Attributes:
        media_type: which kind.
        body: what the digest is of.
    """

    media_type: str
    body: bytes

    @property
    def digest(self) -> str:
        """Of these bytes, whatever the registry says."""
        return digest_of(self.body)

    @property
    def descriptor(self) -> Descriptor:
        """How others refer to it."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=len(self.body))

    def contents(self) -> Contents:
        """What it says.

        Raises:
            Rejected: it is no manifest.
        """
        try:
            found = _CONTENTS.decode(self.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Rejected(f"{self.digest} is no manifest: {error}") from None
        if found.media_type not in ("", self.media_type):
            # CVE-2021-41190: one body, read as an image by one and as a list by another.
            raise Rejected(
                f"{self.digest} came as {self.media_type} and calls itself {found.media_type}"
            )
        if found.manifests and (found.config or found.layers):
            raise Rejected(f"{self.digest} is a list and an image at once")
        return found


def digest_of(data: bytes) -> str:
    """`sha256:...` of it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def encode(contents: Contents) -> bytes:
    """The bytes of a manifest of our own."""
    return msgspec.json.encode(contents)
