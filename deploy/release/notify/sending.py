"""Tells a notice to everybody that the configuration names; none of it ever ends a release."""

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from pathlib import Path
from typing import Final

import aiohttp

from deploy.release.notify.config import NotifyConfig
from deploy.release.notify.notice import Format, Notice, Outcome, body
from wharfinger.endpoints import parse_address

TIMEOUT_SECONDS: Final = 10.0
_FAILED_FROM: Final = 300
_MAX_URL_BYTES: Final = 4_096


async def send(
    notice: Notice, config: NotifyConfig, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> tuple[str, ...]:
    """Tells everybody, at the same time.

    Args:
        notice: what is told.
        config: whom, and how.
        timeout_seconds: for each of them.

    Returns:
        What went wrong, one sentence for each who was not told; never a secret in it.
    """
    if config.when == "failure" and notice.outcome is Outcome.PASSED:
        return ()
    ways = []
    if config.webhook_url_file is not None:
        ways.append(_call(notice, config, config.webhook_url_file, timeout_seconds))
    if config.smtp is not None:
        ways.append(asyncio.to_thread(_mail, notice, config, config.smtp, timeout_seconds))
    return tuple(trouble for trouble in await asyncio.gather(*ways) if trouble)


async def _call(
    notice: Notice, config: NotifyConfig, url_file: Path, timeout_seconds: float
) -> str:
    where = f"webhook (deploy.notify.webhook_url_file {url_file})"
    try:
        url = (await asyncio.to_thread(_first_line, url_file)).strip()
    except (OSError, ValueError) as error:
        return f"{where}: the file cannot be read: {error}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(timeout_seconds)) as session,
            # A redirect would take what is told to a place that nobody wrote down.
            session.post(
                url, json=body(notice, Format(config.webhook_format)), allow_redirects=False
            ) as answer,
        ):
            if answer.status >= _FAILED_FROM:
                return f"{where}: answered {answer.status}"
    except (aiohttp.InvalidURL, ValueError):
        # Its text is the address, which is a secret.
        return f"{where}: the file holds no URL"
    except TimeoutError:
        return f"{where}: no answer within {timeout_seconds:g} s"
    except (aiohttp.ClientError, OSError) as error:
        return f"{where}: {type(error).__name__}: it cannot be reached"
    return ""


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline(_MAX_URL_BYTES)


def _mail(notice: Notice, config: NotifyConfig, smtp: str, timeout_seconds: float) -> str:
    where = f"e-mail (deploy.notify.smtp {smtp})"
    message = EmailMessage()
    message["Subject"] = notice.subject
    message["From"] = config.mail_from
    message["To"] = ", ".join(config.mail_to)
    # A stable word that answers and filters hang on (RFC 3834, section 5).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(notice.text + "\n")
    host, port = parse_address(smtp)
    try:
        with _connected(config, host, port, timeout_seconds) as server:
            if config.smtp_user is not None and config.smtp_password_file is not None:
                server.login(config.smtp_user, _first_line(config.smtp_password_file).strip())
            if refused := server.send_message(message):
                return f"{where}: refused for {', '.join(sorted(refused))}"
    except (smtplib.SMTPException, OSError, ValueError) as error:
        return f"{where}: {error}"
    return ""


def _connected(config: NotifyConfig, host: str, port: int, timeout_seconds: float) -> smtplib.SMTP:
    if config.smtp_tls == "off":
        return smtplib.SMTP(host, port, timeout=timeout_seconds)
    context = ssl.create_default_context(cafile=config.smtp_ca_file)
    if config.smtp_tls == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=timeout_seconds, context=context)
    server = smtplib.SMTP(host, port, timeout=timeout_seconds)
    try:
        server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server
