"""What three servers make of `_bulk`: Elasticsearch and OpenSearch, VictoriaLogs, Quickwit."""

import json
import re
from typing import Any

from aiohttp import web

from tests.stack.strict import StrictServer

INDEX = re.compile(r"[a-z0-9][a-z0-9._-]*")


def pairs(body: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """The action and the source line of each document."""
    assert body.endswith(b"\n")
    lines = body.split(b"\n")[:-1]
    return [
        (json.loads(action), source) for action, source in zip(lines[::2], lines[1::2], strict=True)
    ]


class StrictElastic(StrictServer):
    """Data streams of Elasticsearch (its reference, Bulk API): every document needs an index.

    Attributes:
        indices: which index each document is in.
    """

    content_type = "application/x-ndjson"
    path = "/_bulk"

    def __init__(self, path: str = "/_bulk") -> None:
        super().__init__()
        self.path = path
        self.indices: dict[str, str] = {}

    async def take(self, request: web.Request, body: bytes) -> web.StreamResponse:
        place = self.path.removesuffix("/_bulk").strip("/")
        items = []
        for action, source in pairs(body):
            assert list(action) == ["create"], "only write ops with an op_type of create"
            index = action["create"].get("_index", place)
            if not INDEX.fullmatch(index):
                return web.json_response({"error": "index is missing"}, status=400)
            items.append({"create": self._item(index, action["create"]["_id"], source)})
        errors = any(item["create"]["status"] >= 400 for item in items)
        return web.json_response({"took": 1, "errors": errors, "items": items})

    def _item(self, index: str, identity: str, source: bytes) -> dict[str, Any]:
        document = json.loads(source)
        assert "@timestamp" in document
        if self.poison in document["message"]:
            return {"status": 400, "error": {"type": "document_parsing_exception", "reason": "x"}}
        seen = identity in self.documents
        assert self.indices.setdefault(identity, index) == index
        self.store(identity, document)
        return {"_index": index, "_id": identity, "status": 409 if seen else 201}


class StrictVictoria(StrictServer):
    """VictoriaLogs, as it was measured: ids mean nothing, and what it drops it does not tell.

    Attributes:
        lines: every line that it stores, copies too.
    """

    content_type = "application/x-ndjson"
    path = "/insert/elasticsearch/_bulk"
    line_bytes = 256 * 2**10

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    async def take(self, request: web.Request, body: bytes) -> web.StreamResponse:
        if "_msg_field" not in request.query or "_time_field" not in request.query:
            return self.complain("would store no message")
        items = []
        for _, source in pairs(body):
            if len(source) > self.line_bytes:
                # What stands before it is stored, what stands behind it is lost: 200, no body.
                return web.Response()
            self.lines.append(json.loads(source)["message"])
            items.append({"create": {"status": 201}})
        return web.json_response({"took": 1, "errors": False, "items": items})


class StrictQuickwit(StrictServer):
    """Quickwit, which "will not report errors" (its API reference, _bulk)."""

    content_type = "application/x-ndjson"
    path = "/api/v1/_elastic/logs/_bulk"

    async def take(self, request: web.Request, body: bytes) -> web.StreamResponse:
        for action, source in pairs(body):
            assert list(action) == ["create"]
            self.store(action["create"]["_id"], json.loads(source))
        return web.json_response({"took": 0, "errors": False})
