"""layers.lock: what it says comes back, and whatever else stands in it is refused."""

import pytest

from deploy.release.images import lock
from deploy.release.images.lock import Locked
from wharfinger.errors import ConfigError

ONE = Locked(
    name="tomcat",
    image="registry.example:5000/layers/tomcat:latest@sha256:" + "a" * 64,
    id="sha256:" + "b" * 64,
    diff_ids=("sha256:" + "c" * 64, "sha256:" + "d" * 64),
    recipe="sha256:" + "e" * 64,
    packages=("libc6=2.36-9+deb12u10", "tomcat10-common=10.1.55-1~deb12u1"),
)
TWO = Locked(name="small", image="wharfinger/small", id=ONE.id, diff_ids=(ONE.diff_ids[0],))


def test_what_is_written_is_read_again_and_is_the_same_each_time() -> None:
    text = lock.written([ONE, TWO])
    assert lock.read(text) == {"tomcat": ONE, "small": TWO}
    assert lock.written([TWO, ONE]) == text
    assert text.index("small") < text.index("tomcat")


def test_no_file_locks_nothing() -> None:
    assert lock.read("") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("layers = [", "no TOML"),
        ("layers = 3", "is no table"),
        ("version = 1", "the key 'version' is not known"),
        ("[layers]\nx = 3", "is no table"),
        ('[layers.x]\nimage = "i"\nid = "sha256:1"\ndiff_ids = []', "are digests"),
        (lock.written([TWO]).replace("diff_ids", "diffids"), "the key 'diffids' is not known"),
        (lock.written([TWO]).replace("wharfinger/small", "a b; rm"), "image is no reference"),
        (lock.written([TWO]).replace("wharfinger/small", "--privileged"), "image is no reference"),
        (lock.written([ONE]).replace('"libc6=2.36-9+deb12u10"', "3"), "packages are texts"),
        (lock.written([TWO]).replace("sha256:c", "sha256:X"), "are digests"),
    ],
)
def test_anything_else_is_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        lock.read(text)
    assert said in str(caught.value)
    assert lock.FILE in str(caught.value)


def test_another_layer_is_told_by_its_packages() -> None:
    newer = Locked(
        name="tomcat",
        image="wharfinger/tomcat",
        id=ONE.id,
        diff_ids=ONE.diff_ids[:1],
        packages=("libc6=2.36-9+deb12u11", ONE.packages[1]),
    )
    [found] = lock.difference(ONE, newer)
    assert "other packages: +libc6=2.36-9+deb12u11 -libc6=2.36-9+deb12u10" in str(found)
    assert "--update-lock" in str(found)


def test_the_same_content_under_another_id_is_the_same_layer() -> None:
    again = Locked(name="tomcat", image="x", id="sha256:" + "9" * 64, diff_ids=ONE.diff_ids)
    assert lock.difference(ONE, again) == ()


def test_another_recipe_and_other_files_are_told_apart() -> None:
    other = ("sha256:" + "0" * 64,)
    recipe = Locked(name="small", image="x", id=ONE.id, diff_ids=other, recipe="sha256:" + "1" * 64)
    assert "another recipe" in str(lock.difference(TWO, recipe))
    files = Locked(name="small", image="x", id=ONE.id, diff_ids=other)
    assert "but other files" in str(lock.difference(TWO, files))
