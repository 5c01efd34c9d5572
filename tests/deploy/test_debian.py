"""The Debian root folders of the tests: kept, copied, and refused with the reason."""

from pathlib import Path

import pytest

from tests.stack import debian

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(600)]


def test_a_root_is_made_once_and_a_copy_is_its_own(folder: Path) -> None:
    kept = debian.debian_root(["python3-minimal"])
    made = kept.stat().st_ctime_ns
    copy = debian.copied(kept, folder / "copy")
    assert debian.run_inside(copy, "python3", "-c", "print(6 * 7)").stdout == "42\n"
    debian.run_inside(copy, "touch", "/etc/changed")
    assert not (kept / "etc/changed").exists()
    assert debian.debian_root(["python3-minimal"]) == kept
    assert kept.stat().st_ctime_ns == made
    assert not (kept / "usr/sbin/policy-rc.d").exists()


def test_a_package_that_there_is_not_is_named() -> None:
    with pytest.raises(debian.DebianError, match="no-such-package"):
        debian.debian_root(["no-such-package"])


def test_a_program_that_fails_is_told_with_what_it_wrote() -> None:
    with pytest.raises(debian.DebianError, match="ended with 3\nwhy"):
        debian.run_inside(debian.debian_root(), "sh", "-c", "echo why >&2; exit 3")
