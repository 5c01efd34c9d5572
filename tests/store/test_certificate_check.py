"""What `logstore check` says of the store's own certificate."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from logshipper.store import cli
from logshipper.store.config import Config, LogstoreConfig
from tests.stack.tls import Authority


@pytest.mark.parametrize(
    ("left", "ended", "ending"),
    [
        (timedelta(hours=20), False, False),
        (timedelta(minutes=12), False, True),
        (timedelta(hours=-2), True, False),
    ],
    ids=["good", "soon", "ended"],
)
async def test_one_that_has_ended_is_a_finding_and_before_that_a_remark(
    tmp_path: Path, left: timedelta, ended: bool, ending: bool
) -> None:
    pair = Authority(tmp_path).issue("store", "127.0.0.1", ends=datetime.now(UTC) + left)
    config = Config(
        logstore=LogstoreConfig(
            data_dir=tmp_path / "data", cert_file=pair.cert_file, key_file=pair.key_file
        )
    )
    found, said = await cli.findings(config), cli.remarks(config)
    assert [each.where for each in found] == ["logstore.cert_file"] * ended
    assert [each.where for each in said] == ["logstore.cert_file"] * ending
    assert cli.offline(config) == [], "a store that has to be renewed starts"
