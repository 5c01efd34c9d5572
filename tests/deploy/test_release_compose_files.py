"""What Compose's engine keeps between two runs, where the disk does not do as asked."""

from pathlib import Path
from typing import cast

import pytest

from deploy.release.engines.compose.files import Kept
from deploy.release.engines.place import Place
from wharfinger.errors import Unavailable
from wharfinger.etcd import Etcd
from wharfinger.keys import Service


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "deploy").write_text("no folder")
    kept = Kept(tmp_path / "deploy" / "shop_prod", "shop")
    with pytest.raises(Unavailable, match=r"/deploy/shop_prod/.*\.yml: Not a directory$"):
        kept.keep("0" * 12, "text")


def test_the_longest_names_have_a_folder_each(tmp_path: Path) -> None:
    place = Place(etcd=cast("Etcd", None), docker_url="", state_dir=tmp_path)
    app = "a" * 128
    folders = [place.folder(Service(app, "b" * 127 + last)) for last in "xyz"]
    assert len(set(folders)) == 3
    for folder in folders:
        folder.mkdir(parents=True)
    # Whoever has kept something below the plain name finds it there.
    assert place.folder(Service(app, "b" * 126)).name == f"{app}_{'b' * 126}"
