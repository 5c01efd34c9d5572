"""Addresses of repositories as labels may show them."""

import pytest

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
