"""What a registrar that is not root lacks, by name."""

import os
from pathlib import Path

import pytest

from registrar.host import rights
from wharfinger.sections import HostConfig


def lacking(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(rights, "missing", lambda *asked: tuple(n for n in asked if n in names))


def test_with_all_rights_nothing_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lacking(monkeypatch)
    assert rights.findings(HostConfig(runtime_dir=tmp_path, control_group="daemon")) == []


def test_a_missing_capability_is_named_with_what_it_is_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lacking(monkeypatch, "CAP_SYS_PTRACE")
    (found,) = rights.findings(HostConfig())
    assert found.where == "CAP_SYS_PTRACE"
    assert "ports" in found.problem
    assert "AmbientCapabilities=" in found.fix


def test_an_older_kernel_asks_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch, "CAP_DAC_READ_SEARCH")
    monkeypatch.setattr(rights, "are_told", lambda: True)
    assert rights.findings(HostConfig()) == []
    monkeypatch.setattr(rights, "are_told", lambda: False)
    (found,) = rights.findings(HostConfig())
    assert (found.where, "sockets" in found.problem) == ("CAP_DAC_READ_SEARCH", True)


def test_a_socket_may_have_the_group_of_its_folder_and_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lacking(monkeypatch, "CAP_CHOWN")
    host = HostConfig(runtime_dir=tmp_path / "run", control_group="daemon")
    assert [found.where for found in rights.findings(host)] == ["host.control_group"]
    host.runtime_dir.mkdir()
    os.chown(host.runtime_dir, -1, 1)  # daemon
    (found,) = rights.findings(host)
    assert found.fix == f"chgrp daemon {host.runtime_dir} && chmod 2755 {host.runtime_dir}"
    host.runtime_dir.chmod(0o2755)
    assert rights.findings(host) == []


def test_the_folder_is_that_to_which_a_link_leads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lacking(monkeypatch, "CAP_CHOWN")
    host = HostConfig(runtime_dir=tmp_path, control_group="daemon")
    folder = tmp_path / "registrar"
    (tmp_path / "registrar.sock").symlink_to("registrar/registrar.sock")
    (found,) = rights.findings(host)
    assert found.fix == f"chgrp daemon {folder} && chmod 2755 {folder}"
    folder.mkdir()
    os.chown(folder, 65_534, 1)
    folder.chmod(0o2755)
    assert rights.findings(host) == []
