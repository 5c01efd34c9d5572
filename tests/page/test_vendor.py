"""The libraries that came from elsewhere are the very files that the manifest names."""

import hashlib
import json

from logshipper.store.http import pages

VENDOR = pages._ROOT / "vendor"
MANIFEST = json.loads((VENDOR / "manifest.json").read_text())


def test_each_file_is_what_was_fetched() -> None:
    files = [entry for package in MANIFEST for entry in package["files"]]
    for entry in files:
        content = (VENDOR / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"], entry["file"]
    there = {path.name for path in VENDOR.iterdir()} - {"manifest.json"}
    assert there == {entry["file"] for entry in files}


def test_each_library_has_its_licence_and_its_version_in_the_name() -> None:
    for package in MANIFEST:
        names = [entry["file"] for entry in package["files"]]
        assert package["licence"] in {"MIT", "Apache-2.0"}
        assert package["source"] == f"npm:{package['name']}@{package['version']}"
        assert f"{package['name']}-{package['version']}.LICENSE" in names
        assert all(package["version"] in name for name in names)


def test_the_page_asks_for_no_other_version() -> None:
    sources = [path.read_text() for path in pages._ROOT.rglob("*") if path.suffix == ".html"]
    sources.append((pages._ROOT / "view.js").read_text())
    text = "".join(sources)
    for package in MANIFEST:
        for entry in package["files"]:
            assert entry["file"].endswith("LICENSE") or entry["file"] in text
