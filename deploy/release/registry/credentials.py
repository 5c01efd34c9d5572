"""What `docker login` has kept: config.json, and the programs that it leaves secrets to.

Source: docker/cli, cli/config/configfile/file.go and cli/config/credentials.
"""

import asyncio
import base64
import binascii
import os
import re
from pathlib import Path
from typing import Final

import msgspec

from deploy.release import programs
from deploy.release.registry.access import NOBODY, Credentials
from wharfinger.errors import ConfigError, Finding, Unavailable

_FILE: Final = "config.json"
_MAX_BYTES: Final = 1 << 20
_HELPER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_HELPER_SECONDS: Final = 30.0
# docker-credential-helpers, credentials/error.go; it comes with exit code 1.
_NONE_THERE: Final = "credentials not found in native keychain"
_TOKEN_USER: Final = "<token>"  # noqa: S105 - which means that the secret is an identity token


class _Entry(msgspec.Struct, frozen=True):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


class _Config(
    msgspec.Struct, frozen=True, rename={"stores": "credsStore", "helpers": "credHelpers"}
):
    auths: dict[str, _Entry] = {}
    stores: str = ""
    helpers: dict[str, str] = {}


class _Kept(msgspec.Struct, frozen=True, rename="pascal"):
    username: str
    secret: str


async def credentials(registry: str, config_dir: Path | None = None) -> Credentials:
    """Who we are to a registry; nobody, where nobody has logged in.

    Args:
        registry: `HOST[:PORT]`.
        config_dir: where config.json is; None for where the `docker` command looks.

    Raises:
        ConfigError: what is kept cannot be read; no message holds any of it.
    """
    folder = config_dir or Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    config = await asyncio.to_thread(_read, folder / _FILE)
    if helper := config.helpers.get(registry, config.stores):
        return await _asked(helper, registry, folder)
    for name, entry in config.auths.items():
        if _host(name) == registry:
            return _of_entry(entry, folder / _FILE, registry)
    return NOBODY


def _read(path: Path) -> _Config:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES)
    except FileNotFoundError:
        return _Config()
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from error
    try:
        return msgspec.json.decode(data or b"{}", type=_Config)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # The error's own words may quote what it found.
        raise _wrong(path, "is no config.json of docker's") from None


def _host(name: str) -> str:
    """`https://HOST/v1/`, as old versions wrote it, is HOST."""
    return re.sub(r"^https?://", "", name).partition("/")[0]


def _of_entry(entry: _Entry, path: Path, registry: str) -> Credentials:
    user, password = entry.username, entry.password
    if entry.auth:
        try:
            decoded = base64.b64decode(entry.auth, validate=True).decode().rstrip("\0")
        except (binascii.Error, UnicodeDecodeError):
            raise _wrong(path, f"`auth` of {registry} cannot be read") from None
        user, _, password = decoded.partition(":")
    return Credentials(user, password, entry.identitytoken, entry.registrytoken)


async def _asked(helper: str, registry: str, folder: Path) -> Credentials:
    if not _HELPER.fullmatch(helper):
        raise _wrong(folder / _FILE, f"{helper[:80]!a} is no name of a credential helper")
    program = f"docker-credential-{helper}"
    try:
        said = await programs.run(
            program, "get", stdin=registry.encode(), timeout_seconds=_HELPER_SECONDS
        )
        kept = msgspec.json.decode(said, type=_Kept)
    except Unavailable as error:
        if _NONE_THERE in str(error):
            return NOBODY
        # What it printed before it failed may be the secret.
        raise _wrong(folder / _FILE, f"{program} fails for {registry}") from None
    except (msgspec.MsgspecError, RecursionError):
        why = f"{program} does not give what docker expects, for {registry}"
        raise _wrong(folder / _FILE, why) from None
    if kept.username == _TOKEN_USER:
        return Credentials(identity_token=kept.secret)
    return Credentials(kept.username, kept.secret)


def _wrong(path: Path, problem: str) -> ConfigError:
    return ConfigError([Finding(str(path), problem, "docker login anew")])
