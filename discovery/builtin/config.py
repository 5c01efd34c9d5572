"""The `[discovery.nginx]` section: the resource that needs no template."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from discovery.commandline import command_problems
from wharfinger.config import Section, doc
from wharfinger.endpoints import parse_address
from wharfinger.errors import Finding

MAX_SOCKET_BYTES: Final = 107  # sun_path less its final NUL (unix(7))

Balance = Literal["round_robin", "least_conn", "ip_hash", "sticky"]


class NginxConfig(Section, frozen=True, kw_only=True):
    """The resource that needs no template: an upstream per service, a server per host."""

    dest: Annotated[Path, doc("File that Nginx includes in its http block.")] = Path(
        "/etc/nginx/conf.d/wharfinger.conf"
    )
    mode: Annotated[
        Literal["auto", "reload", "push"],
        doc("How Nginx learns of new peers; auto is push where Nginx has its Lua module."),
    ] = "auto"
    check_cmd: Annotated[str, doc("Must pass before Nginx is told to reload.")] = "nginx -t"
    reload_cmd: Annotated[str, doc("Tells Nginx to reload.")] = "nginx -s reload"
    listen: Annotated[
        int | str, doc("Port, or ADDRESS:PORT, that virtual hosts are served on.")
    ] = 80
    listen_tls: Annotated[
        int | str, doc("The same for TLS, where a host has a certificate in tls_dir.")
    ] = 443
    listen_grpc: Annotated[
        int | str | None,
        doc("The same for gRPC without TLS, for services tagged grpc.", shown="8081"),
    ] = None
    tls_dir: Annotated[
        Path | None,
        doc(
            "Holds HOST.crt and HOST.key, or HOST/fullchain.pem and HOST/privkey.pem.",
            shown='"/etc/wharfinger/tls"',
        ),
    ] = None
    https_redirect: Annotated[
        bool, doc("A host that has a certificate answers HTTP with a redirect.")
    ] = True
    acme_dir: Annotated[
        Path | None,
        doc(
            "Webroot whose /.well-known/acme-challenge/ every host answers with over HTTP.",
            shown='"/var/lib/letsencrypt/webroot"',
        ),
    ] = None
    balance: Annotated[
        Balance, doc("Which instance gets a request; a service's tag balance=... goes before.")
    ] = "round_robin"
    max_fails: Annotated[
        int, doc("So many failures take an instance out for fail_timeout; 0 never does.", ge=0)
    ] = 1
    fail_timeout_seconds: Annotated[int, doc("See max_fails.", ge=1, le=3600)] = 10
    keepalive_connections: Annotated[
        int, doc("Idle connections to instances that a worker keeps for a service.", ge=0, le=4096)
    ] = 0
    connect_timeout_seconds: Annotated[
        int, doc("An instance that takes no connection by then has failed.", ge=1, le=75)
    ] = 5
    read_timeout_seconds: Annotated[
        int, doc("An instance that is silent for so long has failed.", ge=1, le=86400)
    ] = 60
    next_upstream_tries: Annotated[
        int, doc("A request is tried with at most so many instances; 0 is all.", ge=0, le=1000)
    ] = 0
    next_upstream_timeout_seconds: Annotated[
        int, doc("No further instance is tried after it; 0 is no limit.", ge=0, le=3600)
    ] = 0
    retry_non_idempotent: Annotated[
        bool, doc("A POST that an instance may have begun is tried with the next one, too.")
    ] = False
    push_socket: Annotated[
        Path | None,
        doc(
            "Takes peers in push mode; below host.runtime_dir, unless given.",
            shown='"/run/wharfinger/nginx/push.sock"',
        ),
    ] = None
    push_timeout_seconds: Annotated[
        float, doc("A push that is not confirmed by then has failed.", gt=0)
    ] = 1.0
    push_memory_mib: Annotated[
        int, doc("Shared memory of Nginx for the peers of all services.", ge=1, le=1024)
    ] = 16
    check_timeout_seconds: Annotated[float, doc("check_cmd is ended after that.", gt=0)] = 30.0
    reload_timeout_seconds: Annotated[float, doc("reload_cmd is ended after that.", gt=0)] = 60.0
    confirm_timeout_seconds: Annotated[
        float, doc("New workers must answer within it, or the reload has failed.", gt=0)
    ] = 10.0
    min_instances: Annotated[
        int, doc("With fewer instances in all, the last good file stays.", ge=0)
    ] = 0

    @property
    def listen_address(self) -> tuple[str, int]:
        """The address (empty for all) and the port."""
        return address_of(self.listen)

    def pushed_at(self, runtime_dir: Path) -> Path:
        """Where Nginx takes peers."""
        return self.push_socket or runtime_dir / "nginx" / "push.sock"

    def problems(self) -> Iterator[Finding]:
        """Says what a type cannot."""
        listens = {"listen": self.listen, "listen_tls": self.listen_tls}
        if self.listen_grpc is not None:
            listens["listen_grpc"] = self.listen_grpc
        found: dict[tuple[str, int], str] = {}
        for name, listen in listens.items():
            at = _sound(listen)
            if at is None:
                fix = "write a port, or an IP address and a port as in 127.0.0.1:8080"
                yield Finding(name, f"{str(listen)[:80]!r} is no port", fix)
            elif found.setdefault(at, name) != name:
                yield Finding(name, f"is the same as {found[at]}", "give each a port of its own")
        paths = {"push_socket": self.push_socket, "tls_dir": self.tls_dir}
        for name, path in {**paths, "acme_dir": self.acme_dir}.items():
            if path is not None and not (path.is_absolute() and _plain(path)):
                fix = "write a whole path of plain characters"
                yield Finding(name, f"{str(path)[:80]!r} cannot be used", fix)
        yield from command_problems("check_cmd", self.check_cmd)
        yield from command_problems("reload_cmd", self.reload_cmd)


def address_of(listen: int | str) -> tuple[str, int]:
    """The address (empty for all) and the port.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(listen, int) or listen.isdecimal():
        return "", int(listen)
    return parse_address(listen)


def nginx_address(listen: int | str) -> str:
    """The same as the directive `listen` takes it."""
    address, port = address_of(listen)
    bracketed = f"[{address}]" if ":" in address else address
    return f"{bracketed}:{port}" if address else str(port)


def _sound(listen: int | str) -> tuple[str, int] | None:
    try:
        address, port = address_of(listen)
        if address:
            ipaddress.ip_address(address)
    except ValueError:
        return None
    return (address, port) if 0 < port < 2**16 else None


def _plain(path: Path) -> bool:
    """Whether Nginx can be told the path without a word of doubt."""
    text = str(path)
    return text.isascii() and text.isprintable() and not set(text) & set(" \"'\\$;{}#:")
