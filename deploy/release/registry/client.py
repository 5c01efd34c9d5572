"""The registry's API, verb by verb; what comes back is held against its digest."""

import re
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import msgspec
from yarl import URL

from deploy.release.reference import Repository, is_digest, is_tag, repository
from deploy.release.registry import manifest as manifests
from deploy.release.registry.access import Access
from deploy.release.registry.connection import Connection, location
from deploy.release.registry.manifest import Manifest, digest_of
from deploy.release.registry.messages import Distrusted, Reply, Request
from wharfinger.errors import Conflict, Rejected, Unavailable
from wharfinger.text import shortened

# 1,000 pages of tags; a registry that goes on has no end.
MAX_PAGES: Final = 1_000
MAX_TAGS: Final = 1_000_000
UPLOADS: Final = 3
_PAGE: Final = 1_000
# Some registries give all at once, however many are asked for: half a million.
_TAGS_BYTES: Final = 64 << 20
_TYPE: Final = "Content-Type"
_DIGEST: Final = "Docker-Content-Digest"
_BINARY: Final = "application/octet-stream"
# RFC 8288, section 3: `<TARGET>; rel="next"`, among others, with commas between.
_NEXT: Final = re.compile(r'<([^<>]*)>[^<>]*?;\s*rel\s*=\s*"?next\b', re.IGNORECASE)


class _Tags(msgspec.Struct, frozen=True):
    tags: list[str] | None = None


class Client:
    """Registries, by the repository's name; for the event loop.

    Every method raises Unavailable (away, though it was tried again), or Rejected (it will not,
    or what it says cannot be).

    Args:
        access: how they are reached.
    """

    def __init__(self, access: Access | None = None) -> None:
        self._access = access or Access()
        self._connections: dict[str, Connection] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for connection in self._connections.values():
            await connection.__aexit__(kind, error, trace)

    async def manifest(self, image: str, reference: str) -> Manifest | None:
        """A manifest by its digest or by a tag; None where there is none.

        Args:
            image: the repository, with its registry.
            reference: `sha256:...`, or a tag.
        """
        if not is_digest(reference) and not is_tag(reference):
            raise Rejected(f"{reference[:80]!a} is neither a tag nor a digest")
        where = repository(image)
        reply = await self._ask(
            where,
            Request(
                path=f"/v2/{where.path}/manifests/{reference}",
                scope=_reading(where),
                headers={"Accept": ", ".join(manifests.TYPES)},
                limit_bytes=manifests.MAX_BYTES,
            ),
        )
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        _require(reply, f"{image}: {reference}", HTTPStatus.OK)
        found = Manifest(reply.headers.get(_TYPE, "").partition(";")[0].strip(), reply.body)
        told = reply.headers.get(_DIGEST, found.digest)
        if found.digest != told or (is_digest(reference) and found.digest != reference):
            raise Rejected(
                f"{image}: asked for {reference} and told {told[:80]!a}, the registry sends"
                f" {found.digest}: what it holds is damaged, or it lies"
            )
        if found.media_type not in manifests.TYPES:
            raise Rejected(
                f"{image}: {reference} is of a kind not known here: {found.media_type!a}"
            )
        return found

    async def digest_of(self, image: str, tag: str) -> str | None:
        """What a tag points to; None where there is no such tag."""
        found = await self.manifest(image, tag)
        return found.digest if found else None

    async def put_manifest(self, image: str, tag: str, found: Manifest) -> None:
        """Has a tag point to these bytes."""
        if not is_tag(tag):
            raise Rejected(f"{tag[:80]!a} is no tag")
        where = repository(image)
        reply = await self._ask(
            where,
            Request(
                method="PUT",
                path=f"/v2/{where.path}/manifests/{tag}",
                scope=_writing(where),
                headers={_TYPE: found.media_type},
                body=found.body,
            ),
        )
        _require(reply, f"{image}:{tag}", HTTPStatus.CREATED, HTTPStatus.OK)
        told = reply.headers.get(_DIGEST) or await self.digest_of(image, tag)
        if told != found.digest:
            raise Rejected(
                f"{image}:{tag}: the registry made {told!a} of {found.digest}: it changes manifests"
            )

    async def put_tag(self, image: str, digest: str, tag: str, *, fixed: bool = False) -> None:
        """Has a tag point to a digest: the same bytes are put under another name.

        Args:
            image: the repository, with its registry.
            digest: where it shall point to.
            tag: which.
            fixed: it is not moved where it points elsewhere.

        Raises:
            Conflict: it points elsewhere, and is `fixed`.
            Rejected: there is no such digest.
        """
        before = await self.digest_of(image, tag)
        if before == digest:
            return
        if before is not None and fixed:
            raise Conflict(f"{image}:{tag} is {before}, and is not moved to {digest}")
        found = await self.manifest(image, digest)
        if found is None:
            raise Rejected(f"{image}: there is no {digest} in the registry: deploy push")
        await self.put_manifest(image, tag, found)

    async def tags(self, image: str) -> tuple[str, ...]:
        """All tags, in the registry's order; none where there is no such repository.

        A part of them is never taken for all: what stands on the next page may be the one that
        counts.
        """
        where = repository(image)
        path = f"/v2/{where.path}/tags/list?n={_PAGE}"
        found: list[str] = []
        seen = {path}
        for page in range(MAX_PAGES):
            request = Request(path=path, scope=_reading(where), limit_bytes=_TAGS_BYTES)
            reply = await self._ask(where, request)
            if reply.status == HTTPStatus.NOT_FOUND and not page:
                return ()
            _require(reply, f"{image}: its tags", HTTPStatus.OK)
            further = _tags(reply)
            found += further
            if len(found) > MAX_TAGS:
                break
            path = _next(path, reply, where)
            # Some name a next page after the last one, which is empty then.
            if not path or (path in seen and not further):
                return tuple(found)
            if path in seen:
                raise Rejected(f"{image}: the registry's list of tags goes round in a circle")
            seen.add(path)
        raise Rejected(f"{image} has more tags than {MAX_TAGS}")

    async def blob(self, image: str, digest: str, limit_bytes: int) -> bytes:
        """What lies at a digest.

        Raises:
            Rejected: it is not there, longer than the limit, or not what the digest is of.
        """
        where = repository(image)
        path = f"/v2/{where.path}/blobs/{digest}"
        request = Request(path=path, scope=_reading(where), limit_bytes=limit_bytes)
        reply = await self._ask(where, request)
        _require(reply, f"{image}: {digest}", HTTPStatus.OK)
        if digest_of(reply.body) != digest:
            raise Rejected(f"{image}: {digest} is damaged in the registry, or it lies")
        return reply.body

    async def put_blob(self, image: str, data: bytes) -> str:
        """Puts bytes, unless they are there; gives their digest.

        An upload that was cut off begins anew; nobody sees half of one.
        """
        where, digest = repository(image), digest_of(data)
        path, scope = f"/v2/{where.path}/blobs/", _writing(where)
        there = Request(method="HEAD", path=f"{path}{digest}", scope=scope)
        if (await self._ask(where, there)).status == HTTPStatus.OK:
            return digest
        why = ""
        for _ in range(UPLOADS):
            begun = Request(method="POST", path=f"{path}uploads/", scope=scope)
            reply = await self._ask(where, begun)
            _require(reply, f"{image}: an upload", HTTPStatus.ACCEPTED)
            try:
                reply = await self._upload(where, reply, data, digest)
            except Distrusted:
                raise
            except Unavailable as error:
                why = str(error)
                continue
            if reply.status == HTTPStatus.CREATED:
                return digest
            why = reply.why
        raise Unavailable(f"{image}: an upload was cut off {UPLOADS} times: {why}")

    async def _upload(self, where: Repository, begun: Reply, data: bytes, digest: str) -> Reply:
        target = URL(location(begun, where.registry), encoded=True).update_query(digest=digest)
        request = Request(
            method="PUT",
            path=target.raw_path_qs,
            scope=_writing(where),
            headers={_TYPE: _BINARY},
            body=data,
            attempts=1,
        )
        return await self._ask(where, request)

    async def _ask(self, where: Repository, request: Request) -> Reply:
        connection = self._connections.get(where.registry)
        if connection is None:
            connection = Connection(where.registry, self._access)
            self._connections[where.registry] = connection
        return await connection.ask(request)


def _reading(where: Repository) -> str:
    return f"repository:{where.path}:pull"


def _writing(where: Repository) -> str:
    return f"repository:{where.path}:pull,push"


def _require(reply: Reply, what: str, *statuses: HTTPStatus) -> None:
    if reply.status not in statuses:
        raise Rejected(f"{what}: the registry says {reply.why}")


def _tags(reply: Reply) -> list[str]:
    try:
        found = msgspec.json.decode(reply.body, type=_Tags).tags or []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(f"the registry's list of tags cannot be read: {error}") from None
    return [tag for tag in found if is_tag(tag)]


def _next(path: str, reply: Reply, where: Repository) -> str:
    """The next page, from `Link: </v2/...>; rel="next"` (RFC 8288); empty for none.

    Raises:
        Rejected: there is one, and it is not of this list.
    """
    link = _NEXT.search(", ".join(reply.headers.getall("Link", [])))
    if link is None:
        return ""
    try:
        target = URL(path, encoded=True).join(URL(link[1], encoded=True))
    except ValueError:
        target = URL()
    if target.raw_path != f"/v2/{where.path}/tags/list":
        raise Rejected(
            f"{where}: the registry's list of tags goes on at {shortened(link[1], 80)!a}"
        )
    return target.raw_path_qs
