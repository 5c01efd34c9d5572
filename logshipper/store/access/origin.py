"""Whether a browser sends something for one of our own pages, or for somebody else's."""

from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}
_OWN_SITES: Final = frozenset({"same-origin", "none"})


def may_ask(site: str | None, mode: str | None) -> bool:
    """Whether a request that changes nothing may come from where it does.

    A link from anywhere is just a link. But a page of another site that fetches from us, or loads
    us as a picture or a script, cannot read the answer: it wants to load us, or to time us
    (W3C Fetch Metadata, a resource isolation policy).

    Args:
        site: the header `Sec-Fetch-Site`, None without one.
        mode: the header `Sec-Fetch-Mode`, None without one.
    """
    return site is None or site in _OWN_SITES or mode == "navigate"


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
