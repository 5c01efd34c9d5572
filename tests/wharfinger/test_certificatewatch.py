"""The certificate that etcd is shown, as health has it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.stack.tls import Authority
from wharfinger.certificatewatch import CHECK, look
from wharfinger.events import Events
from wharfinger.health import Health


def test_red_before_it_ends_and_green_with_another(tmp_path: Path) -> None:
    check = Health(Events()).check(CHECK)
    authority = Authority(tmp_path)
    path = tmp_path / "host.crt"

    def look_at(left: timedelta | None) -> tuple[bool, str]:
        ends = None if left is None else datetime.now(UTC) + left
        path.write_bytes(authority.issue("box", ends=ends).cert_file.read_bytes())
        look(path, check)
        report = check.report()
        return report.healthy, report.why

    assert look_at(timedelta(hours=20)) == (True, "")
    for left, word in ((timedelta(minutes=5), "ends at"), (timedelta(hours=-2), "ended at")):
        healthy, why = look_at(left)
        assert not healthy
        assert why.startswith(f"etcd.cert_file {path} {word} ")
        assert why.endswith("no restart is needed")
    assert look_at(timedelta(hours=20)) == (True, "")
    healthy, why = look_at(timedelta(minutes=12))
    assert healthy
    assert why.startswith("ends at ")
    # Whoever dials with what cannot be read says so.
    for content in ("no certificate", None):
        path.unlink()
        if content is not None:
            path.write_text(content)
        look(path, check)
        assert check.report().healthy
        path.touch()
