"""One fault at each single request, before it is heard or after it was done, is made good."""

import asyncio
import itertools

import pytest
from aiohttp import web

from deploy.release.evidence.model import Evidence
from deploy.release.registry import Registry
from deploy.release.registry.manifest import digest_of
from tests.stack.fakeregistry import FakeRegistry

BODY = b'{"schemaVersion":2,"config":null}'
DIGEST = digest_of(BODY)
FAILED = Evidence(check="unit", passed=False, tests=2, failures=1, by="ann")
MOST = 30


class Faulty(FakeRegistry):
    """Misbehaves at one request.

    Args:
        number: which, from 1, when it is told to begin.
        status: what it answers; 0 to cut the connection.
        is_done: whether it does first what it was asked for.
    """

    def __init__(self, number: int, status: int, *, is_done: bool) -> None:
        super().__init__()
        self.left = 0
        self._number = number
        self._status = status
        self._is_done = is_done

    def begin(self) -> None:
        self.left = self._number

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.left -= 1
        if self.left:
            return await super()._serve(request)
        if self._is_done:
            await super()._serve(request)
        if not self._status:
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(0)
        return web.Response(status=self._status or 500)


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("status", [500, 0])
@pytest.mark.parametrize("what", ["attach", "put_tag"])
async def test_one_fault_is_made_good(what: str, status: int, *, is_done: bool) -> None:
    for number in itertools.count(1):
        assert number < MOST
        async with Faulty(number, status, is_done=is_done) as server, Registry() as client:
            image = f"{server.address}/shop"
            server.hold("shop", "r1", BODY)
            assert await client.digest_of(image, "r1") == DIGEST
            server.begin()
            if what == "attach":
                await client.attach(image, DIGEST, FAILED, b"<testsuite/>")
            else:
                await client.put_tag(image, DIGEST, "r2", fixed=True)
            was_hit = server.left <= 0
            server.left = 0
            if what == "attach":
                assert await client.evidence(image, DIGEST) == (FAILED,)
            else:
                assert await client.digest_of(image, "r2") == DIGEST
        if not was_hit:
            return
