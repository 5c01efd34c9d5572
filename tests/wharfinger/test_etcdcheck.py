"""What `check` says of the certificate that etcd is shown, whether etcd looks at it or not."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.stack.tls import Authority
from wharfinger import etcdcheck
from wharfinger.errors import Finding
from wharfinger.sections import EtcdConfig


@pytest.mark.parametrize(
    ("left", "ended", "ending"),
    [
        (timedelta(hours=20), False, False),
        (timedelta(minutes=12), False, True),
        (timedelta(minutes=5), False, True),
        (timedelta(hours=-2), True, False),
    ],
    ids=["good", "soon", "near", "ended"],
)
async def test_one_that_has_ended_is_a_finding_and_before_that_a_remark(
    tmp_path: Path, left: timedelta, ended: bool, ending: bool
) -> None:
    pair = Authority(tmp_path).issue("box", ends=datetime.now(UTC) + left)
    config = EtcdConfig(
        cert_file=pair.cert_file, key_file=pair.key_file, endpoints=("127.0.0.1:1",)
    )

    def of(findings: list[Finding]) -> list[str]:
        return [each.problem for each in findings if each.where == "etcd.cert_file"]

    found, said = of(await etcdcheck.findings(config)), of(etcdcheck.remarks(config))
    assert [problem.startswith(f"{pair.cert_file} ended at 2") for problem in found] == [
        True
    ] * ended
    assert [problem.startswith(f"{pair.cert_file} ends at 2") for problem in said] == [
        True
    ] * ending


async def test_without_one_nothing_is_said(tmp_path: Path) -> None:
    for path in (None, tmp_path / "none.pem"):
        config = EtcdConfig(cert_file=path, endpoints=("127.0.0.1:1",))
        assert etcdcheck.remarks(config) == []
        found = await etcdcheck.findings(config)
        assert [each.where for each in found] == ["etcd.endpoints"]
