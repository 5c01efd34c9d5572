"""The [logstore.backend] section: another engine that holds the lines."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from logshipper.store.model import DEFAULT_TENANT, TENANT
from wharfinger.config import Section, doc
from wharfinger.errors import Finding

_ACCOUNT: Final = re.compile(r"\d{1,10}:\d{1,10}", re.ASCII)
# Nothing that leads to another path or parameter of the engine's API.
_INDEX: Final = re.compile(r"[a-z0-9.*-][a-z0-9.*,:<>_+-]{0,254}", re.ASCII)
_FIELD: Final = re.compile(r"[A-Za-z_@][A-Za-z0-9_.@-]{0,63}", re.ASCII)
_SHOWN: Final = {"victorialogs": '"http://127.0.0.1:9428"', "elastic": '"http://127.0.0.1:9200"'}


class BackendConfig(Section, frozen=True, kw_only=True):
    """Another engine that holds the lines; this store then answers from it and takes none."""

    type: Annotated[
        Literal["embedded", "victorialogs", "elastic"],
        doc(
            "`embedded`: this store. `victorialogs`; `elastic`: Elasticsearch, OpenSearch.",
            restart=True,
        ),
    ] = "embedded"
    url: Annotated[str, doc("Where it listens.", shown='"http://127.0.0.1:9428"', restart=True)] = (
        ""
    )
    index: Annotated[str, doc("Of Elasticsearch: index, data stream or pattern.", restart=True)] = (
        "logs-*"
    )
    tenants: Annotated[
        dict[str, str],
        doc(
            "A tenant's index or AccountID:ProjectID; without any, `default` sees `index` or 0:0.",
            shown='{ ops = "logs-ops-*" }',
            restart=True,
        ),
    ] = {}  # noqa: RUF012 - msgspec copies an empty dict for each
    word_fields: Annotated[
        tuple[str, ...],
        doc(
            "Fields in which words are looked for beside the message.",
            shown='["trace_id"]',
            restart=True,
        ),
    ] = ()
    request_timeout_seconds: Annotated[
        float, doc("Longest wait for an answer.", gt=0, le=600, restart=True)
    ] = 15.0
    user: Annotated[str, doc("For basic authentication.", shown='"name"', restart=True)] = ""
    password_file: Annotated[
        Path | None, doc("File with the user's password.", shown='"/path"', restart=True)
    ] = None
    token_file: Annotated[
        Path | None, doc("File with a bearer token.", shown='"/path"', restart=True)
    ] = None
    api_key_file: Annotated[
        Path | None,
        doc("File with an Elasticsearch API key, encoded.", shown='"/path"', restart=True),
    ] = None
    ca_file: Annotated[
        Path | None,
        doc("Who signs its certificate; the system's list else.", shown='"/path"', restart=True),
    ] = None

    def place(self, tenant: str) -> str:
        """What a tenant sees there: an index, or AccountID:ProjectID; empty for nothing.

        Without a table only the tenant that all are who name none sees anything: a token of
        another, added later, must not open the lines of all.
        """
        if self.tenants or tenant != DEFAULT_TENANT:
            return self.tenants.get(tenant, "")
        return "0:0" if self.type == "victorialogs" else self.index

    def problems(self) -> Iterator[Finding]:
        """Says what is wrong in more than one field at once."""
        if self.type == "embedded":
            if self.url:
                yield Finding("type", "is embedded, which has no url", 'write "victorialogs"')
            return
        split = urlsplit(self.url)
        if split.scheme not in {"http", "https"} or not split.hostname or split.query:
            yield Finding("url", f"{self.url[:80]!r} is no address", f"write {_SHOWN[self.type]}")
        if "@" in split.netloc:
            yield Finding("url", "holds a secret", "use user and password_file")
        yield from self._secret_problems()
        yield from self._place_problems()
        for name in self.word_fields:
            if not _FIELD.fullmatch(name):
                fix = "use letters, digits, . - _ @"
                yield Finding("word_fields", f"{name[:64]!r} is no field", fix)

    def _place_problems(self) -> Iterator[Finding]:
        grammar, shown = (_INDEX, '"logs-ops-*"')
        if self.type == "victorialogs":
            grammar, shown = (_ACCOUNT, '"12:34"')
        for tenant, place in self.tenants.items():
            where = f"tenants.{tenant[:64]}"
            if not TENANT.fullmatch(tenant):
                yield Finding(where, "is no tenant", "use letters, digits, - and _")
            if not grammar.fullmatch(place):
                yield Finding(where, f"{place[:80]!r} is none", f"write {shown}")
        if not _INDEX.fullmatch(self.index):
            yield Finding("index", f"{self.index[:80]!r} is none", 'write "logs-*"')

    def _secret_problems(self) -> Iterator[Finding]:
        ways = ("password_file", "token_file", "api_key_file")
        given = [key for key in ways if getattr(self, key) is not None]
        if len(given) > 1:
            yield Finding(given[1], f"stands beside {given[0]}", "keep one")
        if bool(self.user) != (self.password_file is not None):
            yield Finding("user", "and password_file need each other", "write both")
