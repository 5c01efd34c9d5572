"""What the built-in resource's template is given, and how its generation is named."""

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from discovery.builtin.config import NginxConfig, address_of, nginx_address
from discovery.builtin.pools import Pool, Rule, pool_of
from discovery.builtin.virtualhosts import http_services, virtual_hosts
from discovery.model import Rejection, Service

# Every address of 127.0.0.0/8 is this host's: servers of our own on these share the port
# with the user's, take no traffic from outside, and leave no socket file behind that would keep
# a killed Nginx from starting again.
GENERATION_ADDRESS: Final = "127.0.72.2"
EMPTY_ADDRESS: Final = "127.0.72.3"
EMPTY_GRPC_ADDRESS: Final = "127.0.72.4"
LUA: Final = Path(__file__).parent / "lua"
LUA_FILES: Final = ("peers.lua", "balance.lua", "endpoint.lua")
# Braces pass no grammar: no value from etcd can look like these.
_GENERATION: Final = "{generation}"
_SEED: Final = re.compile(r"\{seed ([A-Za-z0-9._-]+)\}")
_LONGEST: Final = 3_500  # a token must fit Nginx's buffer of 4096 bytes (NGX_CONF_BUFFER)
_LONGEST_LITERAL: Final = 1_000


@dataclass(frozen=True, slots=True)
class Certificate:
    """A pair of files for a virtual host, and what tells one content of them from another."""

    cert_file: Path
    key_file: Path
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Seed:
    """The peers of a service as Nginx begins with them.

    Attributes:
        stamp: of two texts for a service the one with the higher stamp is the later one.
        pieces: the text, in pieces that `|` joins.
    """

    stamp: int
    pieces: tuple[str, ...]

    @property
    def text(self) -> str:
        """As it is pushed."""
        return "|".join(self.pieces)

    @property
    def lua(self) -> str:
        """As two arguments in Lua; a long literal would not fit the parser's buffer."""
        parts, room = [[self.pieces[0]]], _LONGEST_LITERAL
        for piece in self.pieces[1:]:
            room -= len(piece) + 1
            if room < 0:
                parts.append([])
                room = _LONGEST_LITERAL - len(piece)
            parts[-1].append(piece)
        literals = ",\n        ".join(f'"{"|".join(part)}"' for part in parts)
        return f"{self.stamp}, {{{literals}}}"


@dataclass(slots=True)
class Frame:
    """The file's text but for the seeds: while only peers come and go it is made once.

    Attributes:
        text: with a mark in each seed's place; empty until it is made.
        refused: claims of virtual hosts that were shut out.
    """

    text: str = ""
    refused: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """What the file depends on beside etcd.

    Attributes:
        push: the file carries balancer and push endpoint.
        socket: of that endpoint.
        certificates: by virtual host.
        seeds: by service; one that is missing begins with a stamp of 0.
        pools: by service; judged here where there are none.
        peers_by_reload: pushing fails: each change of peers is a generation of its own.
        frame: of the push mode's file; the same object for as long as the same text.
    """

    push: bool = False
    socket: Path = Path("/run/wharfinger/nginx/push.sock")
    certificates: Mapping[str, Certificate] = field(default_factory=dict)
    seeds: Mapping[str, Seed] = field(default_factory=dict)
    pools: Mapping[str, Pool] | None = None
    peers_by_reload: bool = False
    frame: Frame | None = None


def pools_of(nginx: NginxConfig, services: Iterable[Service]) -> dict[str, Pool]:
    """The pool of each service, by its name."""
    rule = Rule(nginx.balance, nginx.max_fails, nginx.fail_timeout_seconds)
    return {service.name: pool_of(service, rule) for service in http_services(services)}


def variables(
    nginx: NginxConfig,
    services: tuple[Service, ...],
    pools: Mapping[str, Pool],
    site: Site,
) -> tuple[dict[str, object], tuple[Rejection, ...]]:
    """The names that the template uses, and the claims of virtual hosts that were shut out."""
    hosts, refused = virtual_hosts(http_services(services))
    _, port = nginx.listen_address
    _, tls_port = address_of(nginx.listen_tls)
    names: dict[str, object] = {
        "nginx": nginx,
        "push": site.push,
        "push_socket": site.socket,
        "lua": lua_pieces() if site.push else (),
        "certificates": site.certificates,
        "virtual_hosts": hosts,
        "pools": pools,
        "grpc_names": tuple(pool.name for pool in pools.values() if pool.grpc),
        "generation": _GENERATION,
        "generation_address": GENERATION_ADDRESS,
        "empty_address": EMPTY_ADDRESS,
        "empty_grpc_address": EMPTY_GRPC_ADDRESS,
        "listen": nginx_address(nginx.listen),
        "listen_tls": nginx_address(nginx.listen_tls),
        "listen_grpc": nginx_address(nginx.listen_grpc) if nginx.listen_grpc else "",
        "port": port,
        "tls_port": tls_port,
    }
    return names, refused


def finished(text: str, pools: Mapping[str, Pool], site: Site) -> tuple[str, str]:
    """The file's text and its generation.

    In push mode peers come and go without a new generation: it names all but the seeds.
    """

    def seed(match: re.Match[str]) -> str:
        name = match[1]
        return (site.seeds.get(name) or Seed(0, pools[name].pieces)).lua

    seeded = _SEED.sub(seed, text) if site.push else text
    named = seeded if site.peers_by_reload else text
    generation = hashlib.sha256(named.encode()).hexdigest()[:16]
    return seeded.replace(_GENERATION, generation), generation


@functools.cache
def lua_pieces() -> tuple[str, ...]:
    """The code of balancer and push endpoint, in pieces that each fit an Nginx string."""
    pieces, held = [], ""
    for name in LUA_FILES:
        for line in (LUA / name).read_text(encoding="ascii").splitlines():
            code = line.strip()
            if not code or code.startswith("--"):
                continue
            if len(held) + len(code) >= _LONGEST:
                pieces.append(held)
                held = ""
            held += code + "\n"
    return (*pieces, held)
