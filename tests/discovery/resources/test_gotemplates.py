"""confd's templates as resources: what they see, and when they are compiled."""

import threading
from pathlib import Path

import pytest

from discovery.confd.store import Store
from discovery.model import Instance, Service, Snapshot
from discovery.resources.render import GoTemplate, View, compile_template, render
from discovery.resources.resources import Resource
from discovery.services.tree import Tree
from tests.stack.machine import FakeMachine
from wharfinger import kv
from wharfinger.errors import Rejected

SNAPSHOT = Snapshot(
    5,
    (Service("shop_prod", "shop", "prod", (Instance("10.0.0.1", 80), Instance("::1", 80))),),
    {"/myapp/db/url": "db;{}", "/myapp/db/user": "u", "/other": "w"},
    {"/shop_prod/10.0.0.1-80": "10.0.0.1:80", "/shop_prod/evil": "; evil"},
)


def rendered(folder: Path, text: str, snapshot: Snapshot = SNAPSHOT, **more: object) -> str:
    path = folder / "own.tmpl"
    path.write_text(text)
    resource = Resource("own", path, folder / "out", **more)  # type: ignore[arg-type]
    return render(resource, compile_template(path), snapshot).content.decode()


def test_the_seeds_loop_prints_addresses_as_they_are(tmp_path: Path) -> None:
    text = '{{range getvs "/shop_prod/*"}}server {{.}};\n{{end}}'
    assert rendered(tmp_path, text) == "server 10.0.0.1:80;\nserver [::1]:80;\n"


def test_only_a_raw_resource_sees_what_is_no_address(tmp_path: Path) -> None:
    text = '{{range gets "/shop_prod/*"}}{{base .Key}}={{.Value}}|{{end}}'
    assert rendered(tmp_path, text) == "10.0.0.1-80=10.0.0.1:80|[::1]-80=[::1]:80|"
    assert "evil=; evil|" in rendered(tmp_path, text, raw=True)


def test_keys_are_seen_without_the_prefix(tmp_path: Path) -> None:
    text = '{{getv "/db/url"}} {{ls "/db"}} {{exists "/myapp/db/url"}} {{exists "/other"}}'
    keys = ("/db",)
    assert rendered(tmp_path, text, prefix="/myapp", keys=keys) == "db;{} [url user] false false"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('\n{{getv "/none"}}', r"own\.tmpl:2:2: .*calling getv: key does not exist: /none"),
        ("\n\n{{range .}}", r"own\.tmpl:3: unexpected EOF"),
        ("{{nothing}}", r'own\.tmpl:1: function "nothing" not defined'),
    ],
)  # fmt: skip
def test_a_template_that_fails_says_where(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(Rejected, match=why):
        rendered(tmp_path, text)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"none\.tmpl: No such file"):
        compile_template(tmp_path / "none.tmpl")


def test_it_is_compiled_again_when_the_file_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "own.tmpl"
    view = View((), Store({"/a": "1"}))
    path.write_text('one {{getv "/a"}}')
    template = compile_template(path)
    assert template.render(view) == "one 1"
    path.write_text('two or more {{getv "/a"}}')
    assert template.render(view) == "two or more 1"
    path.write_text("{{broken")
    for _ in range(2):
        with pytest.raises(Rejected, match=r"own\.tmpl:1: function \"broken\" not defined"):
            template.render(view)
    path.unlink()
    with pytest.raises(Rejected, match="No such file"):
        template.render(view)
    path.write_text("three")
    assert template.render(view) == "three"


def test_bytes_that_are_no_text_come_out_as_they_were(tmp_path: Path) -> None:
    raw = b"\xff\x00caf\xc3\xa9"
    tree = Tree()
    tree.hear(kv.Listed(kv.Snapshot(1, {"/k": kv.KeyValue("/k", raw, 1, 1, 1, 0)})))
    path = tmp_path / "own.tmpl"
    path.write_bytes(b'\xfe{{getv "/k"}}{{slice (getv "/k") 6}}{{len (getv "/k")}}')
    resource = Resource("own", path, tmp_path / "out")
    content = render(resource, compile_template(path), tree.snapshot()).content
    assert content == b"\xfe" + raw + b"\xa9" + b"7"


def test_two_threads_do_not_see_each_others_keys(tmp_path: Path) -> None:
    path = tmp_path / "own.tmpl"
    path.write_text('{{range seq 1 200}}{{getv "/k"}}{{end}}')
    template = GoTemplate(path, FakeMachine())
    found: dict[str, str] = {}

    def run(value: str) -> None:
        found[value] = template.render(View((), Store({"/k": value})))

    threads = [threading.Thread(target=run, args=(value,)) for value in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {value: value * 200 for value in "abcd"}


def test_the_machine_is_asked_what_the_template_asks(tmp_path: Path) -> None:
    path = tmp_path / "own.tmpl"
    path.write_text('{{hostname}} {{lookupIPV4 "localhost"}} {{fileExists "/etc/there"}}')
    template = GoTemplate(path, FakeMachine())
    assert template.render(View((), Store({}))) == "wharf-1 [10.0.0.9 127.0.0.1] true"


@pytest.mark.parametrize("name", ["own.tmpl", "own.j2"])
def test_an_error_is_shorter_than_the_value_that_it_is_about(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(
        '{{atoi (getv "/long")}}' if name.endswith("tmpl") else "{{ getv(getv('/long')) }}"
    )
    resource = Resource("own", path, tmp_path / "out")
    snapshot = Snapshot(1, (), {"/long": "x" * 1_000_000})
    with pytest.raises(Rejected, match=r"1000\d\d\d characters") as caught:
        render(resource, compile_template(path), snapshot)
    assert len(str(caught.value)) < 1_100


def test_a_fault_of_ours_costs_one_resource(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_store: Store, _key: str) -> str:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Store, "get", broken)
    with pytest.raises(Rejected, match=r"own\.tmpl: ZeroDivisionError: a bug"):
        rendered(tmp_path, '{{get "/other"}}')
