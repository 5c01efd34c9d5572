"""Evidence in the registry: attached to a digest, and read back without trust."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Final

from deploy.release.evidence import artifact
from deploy.release.evidence.model import Evidence, checked
from deploy.release.registry import manifest as manifests
from deploy.release.registry.client import Client
from deploy.release.registry.manifest import Contents, Descriptor, Manifest
from wharfinger.errors import Conflict, Rejected
from wharfinger.text import printable, shortened

# Of each check, the newest counts; the others tell a story.
MAX_OF_CHECK: Final = 20
MAX_CHECKS: Final = 100
ATTEMPTS: Final = 5
_AT_ONCE: Final = 8
# Of a registry that keeps files, and writes them in place: another uploads the same just now (two
# reports of the same bytes, or none), and what is there of it is told to be there.
_MET: Final = "MANIFEST_BLOB_UNKNOWN"
_AGAIN_SECONDS: Final = 0.3
_NANOSECONDS: Final = 1_000
_CHANCES: Final = 10_000

Remark = Callable[[str], None]


async def attach(
    client: Client, image: str, digest: str, evidence: Evidence, report: bytes = b""
) -> str:
    """Keeps evidence at a digest, beside what is there; gives its tag.

    Args:
        client: reaches the registry.
        image: the repository, with its registry.
        digest: what it is about; must be there.
        evidence: what to keep.
        report: from which it was read, kept too; empty for none.

    Raises:
        Rejected: there is no such digest, or the registry takes no such manifest.
        Conflict: others report the same check, again and again at the same moment.
        Unavailable: the registry is away.
    """
    checked(evidence.check)
    subject = await client.manifest(image, digest)
    if subject is None:
        raise Rejected(f"{image}: there is no {digest} in the registry: deploy push")
    config = artifact.encode(evidence)
    layer, layer_type = report or artifact.EMPTY, artifact.report_type(report)
    contents = Contents(
        schema_version=2,
        media_type=manifests.OCI_MANIFEST,
        artifact_type=artifact.CONFIG_TYPE,
        config=_descriptor(artifact.CONFIG_TYPE, config),
        layers=(_descriptor(layer_type if report else artifact.EMPTY_TYPE, layer),),
        subject=subject.descriptor,
    )
    made = Manifest(manifests.OCI_MANIFEST, manifests.encode(contents))
    for remaining in reversed(range(ATTEMPTS)):
        tag = await _free_tag(client, image, digest, evidence.check)
        if await client.digest_of(image, tag) is not None:
            continue
        try:
            await _put(client, image, tag, made, (config, layer))
        except Rejected as error:
            if not remaining or _MET not in str(error):
                raise
            await asyncio.sleep(_AGAIN_SECONDS)
            continue
        # Registries have no way to put a tag only where there is none.
        if await client.digest_of(image, tag) == made.digest:
            return tag
    raise Conflict(f"{image}: others report {evidence.check} at the same time; do it again")


async def _put(
    client: Client, image: str, tag: str, made: Manifest, blobs: Iterable[bytes]
) -> None:
    for blob in blobs:
        await client.put_blob(image, blob)
    await client.put_manifest(image, tag, made)


async def evidence(
    client: Client, image: str, digest: str, on_remark: Remark = lambda _text: None
) -> tuple[Evidence, ...]:
    """What is kept at a digest, oldest first; of each check at most the last 20.

    Args:
        client: reaches the registry.
        image: the repository, with its registry.
        digest: what it is about.
        on_remark: told of each that looks like evidence and is none; it counts as a report that
            failed, since one that did may have been there.

    Raises:
        Rejected: the registry will not, or there are more checks than any application has.
        Unavailable: it is away.
    """
    numbers: dict[str, list[int]] = {}
    for tag in await client.tags(image):
        if found := artifact.tag_read(tag, digest):
            numbers.setdefault(found[0], []).append(found[1])
    if len(numbers) > MAX_CHECKS:
        raise Rejected(f"{image}: evidence of {len(numbers)} checks at {digest}: who put it there?")
    wanted = sorted(
        (number, check)
        for check, several in numbers.items()
        for number in sorted(several)[-MAX_OF_CHECK:]
    )
    slots = asyncio.Semaphore(_AT_ONCE)

    async def read(number: int, check: str) -> Evidence:
        tag = artifact.tag(digest, check, number)
        try:
            async with slots:
                return await _read(client, image, digest, tag, check)
        except Rejected as error:
            on_remark(printable(shortened(f"{tag} is no evidence: {error}", 400)))
            return artifact.unreadable(check, str(error))

    reads = (read(number, check) for number, check in wanted)
    # All are at their end before one that failed is told of: the client may be closed then.
    found_all = await asyncio.gather(*reads, return_exceptions=True)
    for each in found_all:
        if isinstance(each, BaseException):
            raise each
    return tuple(each for each in found_all if isinstance(each, Evidence))


async def _read(client: Client, image: str, digest: str, tag: str, check: str) -> Evidence:
    found = await client.manifest(image, tag)
    if found is None:
        raise Rejected("it has gone")
    contents = found.contents()
    config = contents.config
    if config is None or config.media_type != artifact.CONFIG_TYPE:
        raise Rejected("it is another kind of manifest")
    if contents.subject is None or contents.subject.digest != digest:
        raise Rejected("it is about another digest than its tag says")
    if config.size > artifact.MAX_CONFIG_BYTES:
        raise Rejected(f"it has {config.size} bytes")
    read = artifact.decode(await client.blob(image, config.digest, artifact.MAX_CONFIG_BYTES))
    if read.check != check:
        raise Rejected(f"it is of {read.check!a}, and its tag says {check}")
    return read


async def _free_tag(client: Client, image: str, digest: str, check: str) -> str:
    """After all that are there; by the clock and by chance, so that two at once do not meet."""
    found = (artifact.tag_read(tag, digest) for tag in await client.tags(image))
    last = max((each[1] for each in found if each and each[0] == check), default=0)
    number = max(time.time_ns() // _NANOSECONDS, last + 1 + secrets.randbelow(_CHANCES))
    if number > artifact.MAX_NUMBER:
        raise Rejected(f"{image}: somebody made evidence of {check} in the year 2286: remove it")
    return artifact.tag(digest, check, number)


def _descriptor(media_type: str, data: bytes) -> Descriptor:
    return Descriptor(media_type=media_type, digest=manifests.digest_of(data), size=len(data))
