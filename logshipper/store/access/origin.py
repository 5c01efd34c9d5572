"""Whether a browser sends something for one of our own pages, or for somebody else's."""

from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}
_OWN_SITES: Final = frozenset({"same-origin", "none"})


def is_own(origin: str | None, site: str | None, host: str) -> bool:
    """Whether a request that changes something may come from where it does.

    A page may make a browser POST anywhere, only not read the answer; so the browser says which
    page it was (`Origin`, RFC 6454, and `Sec-Fetch-Site`). Programs say neither.

    Args:
        origin: the header, None without one.
        site: the header, None without one.
        host: the `Host` header.
    """
    if site is not None:
        # The browser knows best: a proxy in between may have put another name in `Host`.
        return site in _OWN_SITES
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
        port = parts.port or _PORTS.get(parts.scheme)
        own = urlsplit(f"//{host}")
        # Behind a proxy that takes TLS off, our own port is not the one that the browser knows.
        ports = {own.port} if own.port else set(_PORTS.values())
    except ValueError:
        return False
    return bool(parts.hostname) and parts.hostname == own.hostname and port in ports
