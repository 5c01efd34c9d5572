"""What a JDK's links lead to is mounted with it; what no container shall see is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.release.render.java.closure import Link, closure
from deploy.release.render.java.host import resolve
from wharfinger.errors import ConfigError

HOME = "/usr/lib/jvm/java-17-openjdk-amd64"


def mounted(*links: Link, below: dict[str, list[Link]] | None = None) -> tuple[str, ...]:
    folders = {HOME: list(links), **(below or {})}
    return closure(HOME, lambda folder: folders.get(folder, [])).paths


def file(path: str, target: str) -> Link:
    return Link(f"{HOME}/{path}", target, "file")


def test_without_links_the_home_is_enough() -> None:
    assert mounted() == (HOME,)
    assert mounted(file("legal/x", "../a"), file("bin/a", f"{HOME}/lib/a")) == (HOME,)


def test_debians_links_to_etc() -> None:
    etc = "/etc/java-17-openjdk"
    assert mounted(
        file("conf/net.properties", f"{etc}/net.properties"),
        file("conf/security/java.security", f"{etc}/security/java.security"),
        file("lib/security/cacerts", "/etc/ssl/certs/java/cacerts"),
        Link(f"{HOME}/docs", "../../../share/doc/openjdk-17-jre-headless", "folder"),
        file("lib/src.zip", "../../openjdk-17/lib/src.zip"),
    ) == (etc, "/etc/ssl/certs/java", HOME, "/usr/lib/jvm/openjdk-17")


def test_links_of_what_is_mounted_are_followed_in_turn_and_may_go_round() -> None:
    etc = "/etc/java-17-openjdk"
    further = {etc: [Link(f"{etc}/x", "/opt/site/java-settings/x", "file")]}
    further["/opt/site/java-settings"] = [
        Link("/opt/site/java-settings/y", f"{etc}/x", "file"),
        Link("/opt/site/java-settings/z", f"{HOME}/conf", "folder"),
    ]
    assert mounted(file("conf/x", f"{etc}/x"), below=further) == (
        etc,
        "/opt/site/java-settings",
        HOME,
    )


def test_what_ends_nowhere_is_left_out() -> None:
    assert mounted(Link(f"{HOME}/conf/x", "/etc/nowhere/x", "")) == (HOME,)


@pytest.mark.parametrize(
    "link",
    [
        Link(f"{HOME}/conf", "/", "folder"),
        Link(f"{HOME}/conf", "//", "folder"),
        Link(f"{HOME}/conf", "//usr", "folder"),
        Link(f"{HOME}/conf", "/etc", "folder"),
        Link(f"{HOME}/conf", "/usr/lib", "folder"),
        Link(f"{HOME}/conf", "/usr/lib/jvm", "folder"),
        Link(f"{HOME}/conf", "..", "folder"),
        Link(f"{HOME}/conf", "../../../../root/java", "folder"),
        Link(f"{HOME}/conf", "/proc/1/root/etc/java", "folder"),
        Link(f"{HOME}/conf/x", "/etc/shadow", "file", readable=False),
        Link(f"{HOME}/conf/x", "/opt/a:b/java", "file"),
        Link(f"{HOME}/conf/x", "/opt/java/sock", "other", readable=False),
    ],
    ids=lambda link: link.target,
)
def test_what_no_container_shall_see_is_refused(link: Link) -> None:
    if link.leads == "other":
        # Java's own folder is mounted, whatever is in it.
        assert mounted(link) == ("/opt/java", HOME)
        return
    with pytest.raises(ConfigError, match="which no container shall see; mend the JDK"):
        mounted(link)


def test_there_is_an_end_to_it() -> None:
    many = [file(f"conf/{n}", f"/srv/site{n}/etc/x") for n in range(40)]
    with pytest.raises(ConfigError, match="lead to 41 places"):
        mounted(*many)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "conf/b", "lib/c/d"]),
            st.text("ajv./:", max_size=12),
            st.sampled_from(["file", "folder", ""]),
        ),
        max_size=5,
    )
)
def test_no_path_is_mounted_twice_or_above_the_home(
    links: list[tuple[str, str, str]],
) -> None:
    try:
        paths = mounted(*(Link(f"{HOME}/{path}", to, leads) for path, to, leads in links))
    except ConfigError:
        return
    assert HOME in paths
    for one in paths:
        assert not HOME.startswith(f"{one.rstrip('/')}/")
        assert not any(other != one and one.startswith(f"{other}/") for other in paths)


@pytest.fixture
def jdk(tmp_path: Path) -> Path:
    """Like Debian's: configuration elsewhere, a link that ends nowhere, one that goes round."""
    home = tmp_path / "jvm/java-17"
    settings = tmp_path / "settings/java-17"
    for folder in (home / "bin", home / "conf", home / "lib", settings / "security"):
        folder.mkdir(parents=True)
    (home / "bin/java").write_text("#!/bin/sh\n")
    (settings / "net.properties").write_text("")
    (settings / "security/java.security").write_text("")
    (home / "conf/net.properties").symlink_to(settings / "net.properties")
    (home / "conf/security").symlink_to(settings / "security")
    (home / "conf/round").symlink_to("round")
    (home / "conf/gone").symlink_to("/nowhere/java")
    (home / "lib/round").symlink_to(home)
    (tmp_path / "jvm/default-java").symlink_to("java-17")
    return home


def places(jdk: Path) -> tuple[str, ...]:
    return (str(jdk), str(jdk.parents[1] / "settings/java-17"))


def test_a_tree_like_debians_is_whole(jdk: Path) -> None:
    found = resolve(environment={}, folder=jdk.parent)
    assert found.home == str(jdk)
    assert found.paths == places(jdk)
    assert resolve(environment={"JAVA_HOME": str(jdk.parent / "default-java")}) == found
    assert resolve(jdk, environment={"JAVA_HOME": "/nowhere"}) == found


def test_a_home_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere has no bin/java; install one"):
        resolve(environment={"JAVA_HOME": "/nowhere"})
    with pytest.raises(ConfigError, match="this host has no JDK; install one"):
        resolve(environment={"PATH": str(tmp_path)}, folder=tmp_path)
