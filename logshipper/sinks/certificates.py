"""The certificates of a connection over TLS: the latest that files hold, and when they end."""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from logshipper.sinks.contract import End
from logshipper.sinks.credentials import tls
from logshipper.sinks.reach import Untrusted, reachable
from logshipper.sinksection import TlsConfig
from wharfinger import certificate
from wharfinger.certificatecheck import OVER
from wharfinger.errors import ConfigError
from wharfinger.expiry import Validity
from wharfinger.rereading import Rereading


class Certificates:
    """What a sink's connections trust and show.

    Who keeps a connection holds it against `latest` before each batch, and makes it anew where
    that is another: so a renewed file is taken up by a connection that never breaks, too.

    Args:
        config: the sink's.

    Attributes:
        latest: for the next connection; another object once other files are in use.

    Raises:
        ConfigError: a file cannot be used.
    """

    def __init__(self, config: TlsConfig) -> None:
        self._config = config
        files = (config.ca_file, config.cert_file, config.key_file)
        self._paths = tuple(path for path in files if path is not None)
        if config.ca_file is None:
            self._paths += _of_the_host()
        self._files = Rereading(self._paths, self._read, self._use)
        self.latest, self._ours = self._files.first()
        self._theirs: dict[str, Validity] = {}

    @property
    def trouble(self) -> str:
        """Why the files cannot be used as they are; what was read before is, meanwhile."""
        return self._files.trouble

    async def look(self) -> None:
        """Takes up files that have changed, once they have stayed the same between two looks."""
        await self._files.look()

    def refresh(self) -> None:
        """Reads the files now; blocks.

        Raises:
            ConfigError: one cannot be used; the old ones stay.
        """
        self._files.again()

    def renewed(self) -> str:
        """Reads the files after a connection that did not come about, for the next one; blocks.

        A certificate that has ended and an authority that was replaced are told by nothing but an
        end of the connection, in many words (RFC 8446, section 4.4.2.4).

        Returns:
            What there is to say of it, for the end of an error.
        """
        if not self._paths:
            return ""
        try:
            self.refresh()
        except ConfigError as error:
            return f"; and its certificates cannot be read again: {error}"
        now = datetime.now(UTC)
        over = (end.told(now) for end in self._own() if end.validity.standing(now) in OVER)
        return "".join(f"; {told}" for told in over)

    async def reach(self, host: str, port: int) -> None:
        """Makes a connection, which is closed at once, and notes what the server shows on it.

        Raises:
            Untrusted: one of the two does not trust the other.
            Unavailable: there is none.
        """
        try:
            shown = await reachable(host, port, self.latest)
        except Untrusted:
            # As where something is sent: who sends nothing for hours would be red until then.
            await asyncio.to_thread(self.renewed)
            shown = await reachable(host, port, self.latest)
        if shown is not None:
            self._theirs[f"[{host}]:{port}" if ":" in host else f"{host}:{port}"] = shown

    def ends(self) -> Sequence[End]:
        """What is known of both sides; of a server once it was reached."""
        return (*self._own(), *self._of_servers())

    def status(self) -> dict[str, object]:
        """Why the files cannot be used as they are, and when each certificate ends."""
        ends = {end.whose: f"{end.validity.ends:%Y-%m-%dT%H:%M:%SZ}" for end in self.ends()}
        return {"trouble": self.trouble, "ends": ends}

    def _own(self) -> Iterator[End]:
        if self._ours is not None:
            fix = "put a new pair into its place: no restart is needed"
            whose = f"cert_file {self._config.cert_file}"
            yield End(ours=True, whose=whose, validity=self._ours, fix=fix)

    def _of_servers(self) -> Iterator[End]:
        for place, validity in self._theirs.items():
            whose, fix = f"the certificate of {place}", "renew it there"
            yield End(ours=False, whose=whose, validity=validity, fix=fix)

    def _read(self) -> tuple[ssl.SSLContext, Validity | None]:
        path = self._config.cert_file
        return tls(self._config), None if path is None else certificate.validity_of(path)

    def _use(self, read: tuple[ssl.SSLContext, Validity | None]) -> None:
        self.latest, self._ours = read


def _of_the_host() -> tuple[Path, ...]:
    """Where the authorities are that are trusted where nobody names one."""
    found = ssl.get_default_verify_paths()
    return tuple(Path(path) for path in (found.cafile, found.capath) if path is not None)
