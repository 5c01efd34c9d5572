"""What Compose's engine keeps between two runs, where the disk does not do as asked."""

from pathlib import Path

import pytest

from deploy.release.engines.compose.files import Kept
from wharfinger.errors import Unavailable


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "deploy").write_text("no folder")
    kept = Kept(tmp_path / "deploy" / "shop_prod", "shop")
    with pytest.raises(Unavailable, match=r"/deploy/shop_prod/.*\.yml: Not a directory$"):
        kept.keep("0" * 12, "text")
