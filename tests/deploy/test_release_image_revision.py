"""Which commit a working copy is at, and addresses of repositories as labels may show them."""

import shutil
from pathlib import Path

import pytest

from deploy.release import programs
from deploy.release.images import revision


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://git.example/a.git", "https://git.example/a.git"),
        ("https://me:p@ss@git.example:8443/a@b.git", "https://git.example:8443/a@b.git"),
        ("https://token@git.example", "https://git.example"),
        ("git@git.example:a.git", "git@git.example:a.git"),
        ("ssh://git@git.example/a.git", "ssh://git@git.example/a.git"),
        ("ssh://git:secret@git.example:22/a.git", "ssh://git@git.example:22/a.git"),
        ("ssh://git.example/a.git", "ssh://git.example/a.git"),
        ("/srv/git/a.git", "/srv/git/a.git"),
        ("", ""),
    ],
)
def test_a_password_is_not_shown(address: str, shown: str) -> None:
    assert revision.without_password(address) == shown


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen signs a commit")
async def test_the_time_of_a_signed_commit_is_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where log.showSignature is on, git says first whose signature it is."""
    key, allowed, copy = tmp_path / "key", tmp_path / "allowed", tmp_path / "copy"
    copy.mkdir()
    await programs.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    allowed.write_text(f"ann@example.org {key.with_suffix('.pub').read_text()}")
    monkeypatch.delenv(revision.EPOCH, raising=False)
    monkeypatch.setenv("GIT_COMMITTER_DATE", "1700000000 +0000")
    settings = {
        "user.name": "ann", "user.email": "ann@example.org", "gpg.format": "ssh",
        "user.signingkey": str(key), "gpg.ssh.allowedSignersFile": str(allowed),
        "log.showSignature": "true",
    }  # fmt: skip
    await programs.run("git", "-C", copy, "init", "--quiet")
    for name, value in settings.items():
        await programs.run("git", "-C", copy, "config", name, value)
    signed = ("commit", "--quiet", "--gpg-sign", "--allow-empty", "--message", "one")
    await programs.run("git", "-C", copy, *signed)
    found = await revision.of(copy)
    assert (found.epoch, len(found.commit)) == (1_700_000_000, 40)
