"""Who hears of a release: what they read, and what goes wrong on the way to them."""

import asyncio
import dataclasses
import json
import ssl
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session
from hypothesis import given
from hypothesis import strategies as st

from deploy.release.notify import Notice, NotifyConfig, send
from deploy.release.notify.notice import Format, Outcome, body
from tests.stack.tls import Authority
from tests.stack.webhook import TOKEN, listening
from wharfinger.operator.parts.process import free_port

FAILED = Notice(
    outcome=Outcome.FAILED,
    what="promote",
    app="shop",
    environment="production",
    release="r12",
    image="registry.test/shop@sha256:" + "a" * 64,
    by="ada",
    at="2026-11-26T13:00:00Z",
    why="instance 10.0.0.1-20001 answers 500\nTraceback: boom",
    url="https://ci.test/1",
)
PASSED = dataclasses.replace(FAILED, outcome=Outcome.PASSED, why="")


def test_its_subject_is_one_line() -> None:
    assert FAILED.subject == "shop promote production r12 failed"
    hostile = dataclasses.replace(FAILED, by="x", app="shop\nBcc: everybody@example.org")
    assert "\n" not in hostile.subject


def test_its_text_says_the_end_of_why() -> None:
    told = dataclasses.replace(FAILED, why="\n".join(f"line {n}" for n in range(1000))).text
    assert told.endswith("line 999")
    assert len(told) < 2500
    assert "by: ada" in told


@given(st.text(), st.text(max_size=3000))
def test_nothing_in_it_steers_a_terminal(by: str, why: str) -> None:
    told = dataclasses.replace(FAILED, by=by, why=why).text
    assert all(character.isprintable() or character == "\n" for character in told)


def test_a_chat_room_is_not_called_by_a_log_line() -> None:
    hostile = dataclasses.replace(FAILED, why="<!channel> <http://evil.test|bank>")
    assert "<" not in body(hostile, Format.SLACK)["text"]


def test_each_format_carries_what_it_is_about() -> None:
    for wanted in Format:
        assert "r12" in json.dumps(body(FAILED, wanted))
    assert body(FAILED, Format.JSON)["outcome"] == "failed"
    assert body(FAILED, Format.DINGTALK)["msgtype"] == "text"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"smtp": "mail.test"}, "smtp"),
        ({"smtp": "mail.test:25"}, "smtp"),
        ({"mail_to": ("a@b.test",)}, "smtp"),
        ({"smtp_user": "ada"}, "smtp_user"),
        ({"mail_to": ("a b@c.test",)}, "mail_to"),
        ({"mail_from": "a@b.test\nBcc: c@d.test"}, "mail_from"),
        (
            {"smtp_user": "ada", "smtp_password_file": Path("/p"), "smtp_tls": "off"},
            "smtp_tls",
        ),
    ],
)
def test_what_does_not_go_together_is_named(settings: dict[str, Any], key: str) -> None:
    assert key in {finding.where for finding in NotifyConfig(**settings).problems()}


def test_nothing_is_asked_for() -> None:
    assert not list(NotifyConfig().problems())


async def test_a_webhook_hears_of_it(tmp_path: Path) -> None:
    async with listening(tmp_path) as hook:
        config = NotifyConfig(webhook_url_file=hook.file)
        assert await send(FAILED, config) == ()
        assert hook.heard == [body(FAILED, Format.JSON)]
        assert await send(PASSED, NotifyConfig(webhook_url_file=hook.file, when="failure")) == ()
        assert len(hook.heard) == 1


async def test_its_troubles_are_told_without_its_address(tmp_path: Path) -> None:
    async def broken() -> web.StreamResponse:
        return web.Response(status=500, text=TOKEN)

    async def elsewhere() -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"http://127.0.0.1:1/{TOKEN}"})

    async def hanging() -> web.StreamResponse:
        await over.wait()
        return web.Response()

    over = asyncio.Event()
    async with listening(tmp_path) as hook:
        config = NotifyConfig(webhook_url_file=hook.file)
        for answer, said in ((broken, "500"), (elsewhere, "302"), (hanging, "no answer within")):
            hook.answer = answer
            (trouble,) = await send(FAILED, config, timeout_seconds=0.5)
            assert said in trouble
            assert TOKEN not in trouble
        over.set()
    (trouble,) = await send(FAILED, config)
    assert "cannot be reached" in trouble
    for text in ("", f"ftp://x/{TOKEN}", f"http://[{TOKEN}", f"http://\x00{TOKEN}"):
        hook.file.write_text(text)
        (trouble,) = await send(FAILED, config)
        assert TOKEN not in trouble
    (trouble,) = await send(FAILED, NotifyConfig(webhook_url_file=tmp_path / "none"))
    assert "cannot be read" in trouble


class Mailbox:
    """What a mail server does with what it gets."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []

    async def handle_DATA(self, _server: object, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.mails.append(envelope)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    box = Mailbox()
    port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, f"127.0.0.1:{port}"
    controller.stop()


def mail_to(smtp: str, **more: Any) -> NotifyConfig:
    fixed = {"mail_from": "deploy@shop.test", "mail_to": ("ada@shop.test", "bob@shop.test")}
    return NotifyConfig(**{"smtp": smtp, "smtp_tls": "off", **fixed, **more})


async def test_people_get_an_email(mailbox: tuple[Mailbox, str]) -> None:
    box, smtp = mailbox
    hostile = dataclasses.replace(FAILED, by="ada\r\nBcc: c@d.test", why="über\n.\nQUIT")
    assert await send(hostile, mail_to(smtp)) == ()
    (envelope,) = box.mails
    assert envelope.rcpt_tos == ["ada@shop.test", "bob@shop.test"]
    assert isinstance(envelope.content, bytes)
    mail = message_from_bytes(envelope.content, policy=policy.default)
    assert mail["Subject"] == "shop promote production r12 failed"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "Bcc" not in mail
    assert "über\n.\nQUIT" in mail.get_content().replace("\r\n", "\n")


async def test_a_mail_server_that_offers_no_tls_is_told_nothing(
    mailbox: tuple[Mailbox, str], tmp_path: Path
) -> None:
    box, smtp = mailbox
    password = tmp_path / "password"
    password.write_text("s3cret\n")
    config = mail_to(smtp, smtp_tls="starttls", smtp_user="ada", smtp_password_file=password)
    (trouble,) = await send(FAILED, config)
    assert "STARTTLS" in trouble
    assert "s3cret" not in trouble
    assert not box.mails


async def test_it_signs_in_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("mail", "127.0.0.1")
    seen: list[tuple[bytes, bytes]] = []

    def signed_in(*arguments: Any) -> AuthResult:
        found = arguments[4]
        seen.append((found.login, found.password))
        return AuthResult(success=True)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert_file, pair.key_file)
    box = Mailbox()
    port = free_port()
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=port,
        tls_context=context,
        require_starttls=True,
        authenticator=signed_in,
        auth_required=True,
    )
    controller.start()
    password = tmp_path / "password"
    password.write_text("s3cret\n")
    try:
        more = {"smtp_user": "ada", "smtp_password_file": password, "smtp_tls": "starttls"}
        config = mail_to(f"127.0.0.1:{port}", smtp_ca_file=authority.ca_file, **more)
        assert await send(FAILED, config) == ()
        (trouble,) = await send(FAILED, mail_to(f"127.0.0.1:{port}", **more))
    finally:
        controller.stop()
    assert seen == [(b"ada", b"s3cret")]
    assert len(box.mails) == 1
    assert "certificate verify failed" in trouble


async def test_who_is_away_is_named(tmp_path: Path) -> None:
    (trouble,) = await send(FAILED, mail_to(f"127.0.0.1:{free_port()}"))
    assert "smtp" in trouble
    assert "refused" in trouble
    both = mail_to(f"127.0.0.1:{free_port()}", webhook_url_file=tmp_path / "none")
    assert len(await send(FAILED, both)) == 2
