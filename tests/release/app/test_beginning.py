"""`deploy init`: a wharf.yaml that can be read as it is, and nothing written over."""

from pathlib import Path

import pytest

from deploy.release.app import beginning
from deploy.release.app.model import EngineName
from deploy.release.app.reading import read
from wharfinger.errors import ConfigError, Rejected


@pytest.fixture
def template(tmp_path: Path) -> Path:
    folder = tmp_path / "template"
    (folder / "app").mkdir(parents=True)
    (folder / "app/start").write_text("#!/bin/sh\n")
    (folder / "Dockerfile").write_text("ARG LAYER\nFROM ${LAYER}\n")
    (folder / ".dockerignore").write_text("*\n")
    return folder


def test_an_empty_folder_becomes_an_application(tmp_path: Path, template: Path) -> None:
    folder = tmp_path / "My Shop (new)"
    folder.mkdir()
    written = beginning.begin(folder, template=template)
    assert [each.name for each in written] == [
        *("Dockerfile", ".dockerignore", "app", "wharf.schema.json", "wharf.yaml")
    ]
    app = read(folder)
    assert (app.name, app.image) == ("my-shop-new", "localhost:5000/my-shop-new")
    assert (app.build.layer, app.build.java) == ("small", False)
    assert app.environments["pre"].engine is EngineName.COMPOSE
    assert len((folder / "wharf.yaml").read_text().splitlines()) <= 20


@pytest.mark.parametrize(
    ("file", "layer", "java"),
    [
        ("pom.xml", "java", True),
        ("shop.war", "tomcat", True),
        ("requirements.txt", "python", False),
        ("index.html", "nginx", False),
        ("README", "small", False),
    ],
)
def test_the_layer_is_guessed(
    tmp_path: Path, template: Path, file: str, layer: str, java: bool
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / file).touch()
    (folder / "Dockerfile").write_text("mine")
    beginning.begin(folder, template=template)
    app = read(folder)
    assert (app.build.layer, app.build.java) == (layer, java)
    assert (folder / "Dockerfile").read_text() == "mine"
    assert not (folder / "app").exists()


@pytest.mark.parametrize("name", ["2024", "on", "1e3"])
def test_a_folders_name_is_text(tmp_path: Path, template: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    beginning.begin(tmp_path / name, template=template)
    assert read(tmp_path / name).name == name


def test_what_is_told_is_taken(tmp_path: Path, template: Path) -> None:
    beginning.begin(tmp_path, name="Pay", image="r.example/x/pay", layer="java", template=template)
    app = read(tmp_path)
    assert (app.name, app.image, app.build.layer) == ("Pay", "r.example/x/pay", "java")


def test_what_cannot_be_is_refused_and_nothing_is_written(tmp_path: Path, template: Path) -> None:
    with pytest.raises(ConfigError, match="names no registry"):
        beginning.begin(tmp_path, image="shop", template=template)
    with pytest.raises(ConfigError, match="app"):
        beginning.begin(tmp_path, name="a: b", template=template)
    assert [each.name for each in tmp_path.iterdir()] == ["template"]
    (tmp_path / "wharf.yaml").write_text("mine")
    with pytest.raises(Rejected, match="is there already"):
        beginning.begin(tmp_path, template=template)
    assert (tmp_path / "wharf.yaml").read_text() == "mine"
    with pytest.raises(Rejected, match="No such file"):
        beginning.begin(tmp_path / "nowhere", template=template)


def test_a_link_that_came_with_the_folder_leads_nowhere(tmp_path: Path, template: Path) -> None:
    folder, elsewhere = tmp_path / "shop", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("ours")
    (folder / "Dockerfile").symlink_to(elsewhere / "Dockerfile")
    (folder / "wharf.schema.json").symlink_to(elsewhere / "kept")
    beginning.begin(folder, template=template)
    assert (elsewhere / "kept").read_text() == "ours"
    (folder / "wharf.yaml").unlink()
    (folder / "wharf.yaml").symlink_to(elsewhere / "wharf.yaml")
    with pytest.raises(Rejected, match="is there already"):
        beginning.begin(folder, template=template)
    assert [each.name for each in elsewhere.iterdir()] == ["kept"]
