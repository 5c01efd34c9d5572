"""JSON of whatever a daemon holds, for people and programs, hostile text included."""

from typing import Any

import msgspec

from wharfinger.text import printable


def encode_line(value: object) -> bytes:
    """JSON on one line that a terminal shows as it is; what JSON cannot hold stands as text."""
    try:
        data = msgspec.json.encode(value, enc_hook=str)
    except UnicodeEncodeError:
        # A surrogate: some name or path on this host is not UTF-8. The rest is still true.
        builtins = msgspec.to_builtins(value, enc_hook=str, str_keys=True)
        data = msgspec.json.encode(_mended(builtins))
    # Outside of strings JSON is ASCII, so these escapes can only fall inside them.
    return printable(data.decode()).encode()


def encode_page(value: object) -> bytes:
    """The same for a person with curl: indented, with a newline at the end."""
    return msgspec.json.format(encode_line(value), indent=2) + b"\n"


def _mended(value: Any) -> Any:
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case dict():
            return {_mended(key): _mended(item) for key, item in value.items()}
        case list() | tuple():
            return [_mended(item) for item in value]
        case _:
            return value
