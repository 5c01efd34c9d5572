"""Lines as the shipper's sinks send them, and what is asked of each back end."""

import json
from typing import Any

DAY = "2025-11-20"
FROM = f"{DAY}T09:00:00Z"
SHOP, PAY = "0123456789abcdef", "fedcba9876543210"


def line(clock: str, message: str, app: str = "shop", **fields: Any) -> dict[str, Any]:
    """A document; a field that is None is left out."""
    document = {
        "@timestamp": f"{DAY}T{clock}Z",
        "message": message,
        "app": app,
        "env": "prod",
        "host": "h1" if app == "shop" else "h2",
        "container": SHOP if app == "shop" else PAY,
        "stream": "stdout",
        "level": "info",
        **fields,
    }
    return {name: value for name, value in document.items() if value is not None}


LINES = [
    line("10:00:00.000000001", "Connection refused by upstream 10.0.0.7", level="error"),
    line("10:00:00.000000002", "connection pool exhausted", stream="stderr", level="WARNING"),
    # One nanosecond, two apps; one millisecond, many lines.
    line("10:00:00.000000002", "payment accepted order 42", "pay", trace_id="aBc-1", code=200),
    line("10:00:00.000000003", "payment refused order 43", "pay", trace_id="abd-2", code=402),
    line("10:00:00.000500000", 'user said "hi" and left', user={"name": "Ada Lovelace"}),
    line("10:00:00.000500001", "GET /api/orders?page=2 200", ok=True),
    # The same to the last letter, as a file with times by the second has them.
    line("10:00:01", "retrying", level="debug"),
    line("10:00:01", "retrying", level="debug"),
    line("10:00:01", "retrying", level="debug"),
    line("10:00:01.000000001", "retrying once more", level="debug"),
    line("10:01:00", "数据库连接超时 after 30s", level="error"),
    line("10:01:30", "Ünïcode naïve café", "pay", env="dev"),
    line("10:02:00", "no level here", level=None),
    line("10:02:01", "odd level here", level="chatty"),
    line("10:02:02", "backslash C:\\temp\\x and | pipe ' quote", "pay", level="FATAL"),
    line("10:02:03", "tabs\tand \x1b[31mcolours\x1b[0m", "pay", level="Error"),
    line("10:02:04", "an app of its own", "web", host="h9", container="aaaaaaaaaaaabbbb"),
    line("10:02:05", "without an environment", "web", env=None, container="aaaaaaaaaaaacccc"),
    *(line(f"11:{n // 20:02d}:{n % 20:02d}", f"tick {n}", "clock") for n in range(40)),
]
OTHER = [line("12:00:00", "another tenant's line", "secret")]

# What all engines answer alike. Words stand free in these; what differs is asked below.
QUESTIONS = [
    "",
    "connection",
    "CONNECTION refused",
    '"connection refused"',
    '"Connection refused by upstream"',
    "conn*",
    "-connection app:shop",
    "refused -payment",
    "10.0.0.7",
    "数据库连接超时",
    "café",
    "naïve",
    "nosuchword",
    "app:pay",
    "app:pay app:web",
    "app:p*",
    "-app:shop -app:clock",
    "-app:sh* -app:clock",
    'env:""',
    "env:dev",
    "host:h9 stream:stdout",
    "stream:stderr",
    f"container:{SHOP}",
    "container:0123456789ab",
    f"container:{PAY}{PAY}{PAY}{PAY}",
    "container:aaaaaaaaaaaa*",
    "container:0123",
    "level:error",
    "level:warn",
    "level:fatal",
    "level:unknown",
    "-level:info -level:unknown",
    "-level:unknown level:debug",
    "level:error level:unknown",
    "trace_id:ABC-1",
    "trace_id:ab*",
    "-trace_id:abc-1 app:pay",
    "code:402",
    "code:nonsense",
    "ok:true",
    'user.name:"ada lovelace"',
    "user.name:ada*",
    "nosuchfield:x",
    "-nosuchfield:x app:pay",
    "/ord[ae]r 4\\d/",
    "-/tick/ -/retrying/",
    "/^payment/",
    "tick -/5$/",
    "abd",
    "lovelace",
]
# From and to, RFC 3339.
SPANS = [
    ("10:00:00.000000002", "10:00:00.000500001"),
    ("10:00:00.000000003", ""),
    ("", "10:00:01"),
    ("10:00:01", "10:00:01"),
    ("11:00:18.5", "11:01:05"),
]


def body(lines: list[dict[str, Any]]) -> str:
    """For `_bulk`, ids as the shipper makes them."""
    parts = []
    for number, document in enumerate(lines):
        identity = f"{document['container']}.0.{number:x}"
        parts += [json.dumps({"create": {"_id": identity}}), json.dumps(document)]
    return "\n".join(parts) + "\n"


def lines(documents: list[dict[str, Any]]) -> str:
    """The same as JSON lines."""
    return "".join(f"{json.dumps(document)}\n" for document in documents)
