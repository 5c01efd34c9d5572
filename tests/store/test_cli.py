"""What `logstore check --offline` looks at: files that the configuration names, no more."""

from pathlib import Path

from logshipper.store import cli
from logshipper.store.config import Config, LogstoreConfig


def test_offline_token_files_and_certificates_are_looked_at(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("short\n")
    config = Config(
        logstore=LogstoreConfig(
            data_dir=tmp_path / "file",
            read_token_file=tokens,
            ingest_token_file=tmp_path / "none",
            cert_file=tmp_path / "c",
            key_file=tmp_path / "k",
        )
    )
    (tmp_path / "file").touch()  # a fault of the host's, not of the configuration
    found = [finding.where for finding in cli.offline(config)]
    assert found[:2] == ["logstore.ingest_token_file", "logstore.read_token_file line 1"]
    assert len(found) > 2
    tokens.write_text("long-enough-to-be-one\n")
    assert list(cli.offline(Config(logstore=LogstoreConfig(read_token_file=tokens)))) == []
