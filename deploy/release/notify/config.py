"""The [deploy.notify] section: where to tell how releases ended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from wharfinger.endpoints import parse_address
from wharfinger.errors import Finding
from wharfinger.schema import Section, doc


class NotifyConfig(Section, frozen=True, kw_only=True):
    """Who is told how a release ended."""

    when: Annotated[Literal["always", "failure"], doc("Whether good news are told as well.")] = (
        "always"
    )
    webhook_url_file: Annotated[
        Path | None,
        doc("File with the address of a webhook, which is a secret.", shown='"/path"'),
    ] = None
    webhook_format: Annotated[
        Literal["json", "slack", "dingtalk"],
        doc("What it is sent: all fields, or a text as Slack or DingTalk want it."),
    ] = "json"
    smtp: Annotated[
        str | None, doc("HOST:PORT of the mail server.", shown='"mail.example:587"')
    ] = None
    smtp_tls: Annotated[
        Literal["starttls", "tls", "off"], doc("How the connection to it is made secret.")
    ] = "starttls"
    smtp_ca_file: Annotated[
        Path | None, doc("CA of its certificate; unset: the system's.", shown='"/path"')
    ] = None
    smtp_user: Annotated[str | None, doc("Whom to sign in as.", shown='"deploy"')] = None
    smtp_password_file: Annotated[Path | None, doc("Their password.", shown='"/path"')] = None
    mail_from: Annotated[str | None, doc("Sender of e-mails.", shown='"deploy@example.org"')] = None
    mail_to: Annotated[tuple[str, ...], doc("Who gets them.")] = ()

    def problems(self) -> Iterator[Finding]:
        """What the types do not say."""
        if self.smtp is not None:
            try:
                parse_address(self.smtp)
            except ValueError as error:
                yield Finding("smtp", str(error), "write HOST:PORT")
        if (self.smtp is None) != (not self.mail_to) or (self.smtp is None) != (not self.mail_from):
            yield Finding("smtp", "smtp, mail_from and mail_to go together", "set all three")
        if (self.smtp_user is None) != (self.smtp_password_file is None):
            fix = "set both"
            yield Finding("smtp_user", "smtp_user and smtp_password_file go together", fix)
        if self.smtp_user is not None and self.smtp_tls == "off":
            yield Finding("smtp_tls", "a password would be sent unencrypted", "write `starttls`")
        for key, address in (
            ("mail_from", self.mail_from),
            *(("mail_to", a) for a in self.mail_to),
        ):
            if address is not None and not _is_mail_address(address):
                yield Finding(key, f"{address[:80]!a} is no mail address", "write NAME@DOMAIN")


def _is_mail_address(text: str) -> bool:
    name, at, domain = text.rpartition("@")
    plain = text.isascii() and text.isprintable() and not set(text) & set(' <>,;:"()[]\\')
    return bool(name and at and domain) and plain
