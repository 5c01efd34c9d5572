"""The [discovery] section and resource files: every fault named with file, key and fix."""

from pathlib import Path

import pytest

from discovery import cli
from discovery.config import Config, DiscoveryConfig
from discovery.resources.resources import TEMPLATES, Found, find_resources, load_resources
from tests.stack.tls import Authority
from wharfinger.config import load
from wharfinger.errors import ConfigError


def config(folder: Path, text: str) -> Config:
    path = folder / "wharfinger.toml"
    path.write_text(text)
    return load(Config, path=path, environment={}).value


def resource(folder: Path, text: str, name: str = "app", template: str = "x") -> DiscoveryConfig:
    for below in ("conf.d", "templates"):
        (folder / below).mkdir(exist_ok=True)
    (folder / "templates" / "app.j2").write_text(template)
    (folder / "conf.d" / f"{name}.toml").write_text(f"[template]\n{text}")
    return DiscoveryConfig(confdir=folder)


def findings(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_resources(resource(folder, text))
    return str(caught.value)


GOOD = 'src = "app.j2"\ndest = "/tmp/app"\n'


def test_without_a_table_the_built_in_resource_is_off(tmp_path: Path) -> None:
    assert config(tmp_path, "").discovery.nginx is None
    assert load_resources(DiscoveryConfig(confdir=tmp_path / "none")) == ()


def test_an_empty_table_turns_it_on(tmp_path: Path) -> None:
    nginx = config(tmp_path, "[discovery.nginx]").discovery.nginx
    assert nginx is not None
    assert nginx.listen_address == ("", 80)
    (found,) = load_resources(config(tmp_path, "[discovery.nginx]").discovery)
    assert (found.name, str(found.dest)) == ("nginx", "/etc/nginx/conf.d/wharfinger.conf")


@pytest.mark.parametrize(
    ("text", "address"),
    [("8080", ("", 8080)), ('"8080"', ("", 8080)), ('"127.0.0.1:81"', ("127.0.0.1", 81)),
     ('"[::1]:81"', ("::1", 81))],
)  # fmt: skip
def test_where_it_listens(tmp_path: Path, text: str, address: tuple[str, int]) -> None:
    nginx = config(tmp_path, f"[discovery.nginx]\nlisten = {text}").discovery.nginx
    assert nginx is not None
    assert nginx.listen_address == address


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[discovery.nginx]\npush_socket = "/run/a b;{}"', "cannot be used"),
        ('[discovery.nginx]\ntls_dir = "/etc/$x"', "cannot be used"),
        ("[discovery.nginx]\nlisten_tls = 80", "is the same as listen"),
        ('[discovery.nginx]\nlisten_grpc = "x"', "is no port"),
        ('[discovery.nginx]\nbalance = "random"', "discovery.nginx.balance"),
        ("[discovery.nginx]\nmax_fails = -1", "discovery.nginx.max_fails"),
        ('[discovery.nginx]\nmode = "fast"', "discovery.nginx.mode"),
        ("[discovery.nginx]\nlisten = 0", "is no port"),
        ('[discovery.nginx]\nlisten = "80; }"', "is no port"),
        ('[discovery.nginx]\nlisten = "a;b:80"', "is no port"),
        ('[discovery.nginx]\ndst = "/x"', "did you mean dest?"),
        ('[discovery.nginx]\ncheck_cmd = "a | b"', "shell syntax"),
        ("[discovery]\nsettle_seconds = 2\nsettle_max_seconds = 1", "is below settle_seconds"),
        ("[discovery]\nsettle_seconds = -1", "discovery.settle_seconds"),
    ],
)
def test_a_fault_of_the_section_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s)" + says.replace("?", r"\?")):
        config(tmp_path, text)


def test_a_resource_file_has_confds_fields(tmp_path: Path) -> None:
    text = GOOD + (
        'keys = ["/a", "/b"]\nprefix = "/p"\nuid = 1\ngroup = "root"\nmode = "0640"\n'
        'check_cmd = "true {{.src}}"\nreload_cmd = "true"\ncheck_timeout_seconds = 3\n'
        "min_instances = 2\nmkdir = true\nbackup = true\nraw = true\n"
    )
    (found,) = load_resources(resource(tmp_path, text))
    assert found.name == "app"
    assert found.template == tmp_path / "templates" / "app.j2"
    assert (found.keys, found.prefix, found.uid, found.gid) == (("/a", "/b"), "/p", 1, 0)
    assert (found.mode, found.check_timeout_seconds, found.raw) == (0o640, 3.0, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('src = "app.j2"', "is missing"),
        (GOOD + 'kyes = ["/"]', "did you mean keys?"),
        (GOOD + "keys = []", "is empty"),
        (GOOD + 'mode = "rw"', "is no octal mode"),
        (GOOD + 'owner = "no-such-user"', "no user 'no-such-user'"),
        (GOOD + 'group = "no-such-group"', "no group"),
        (GOOD + 'uid = 1\nowner = "root"', "both set"),
        (GOOD + 'reload_cmd = "a && b"', "write reload_cmd = \"sh -c '...'\""),
        ('src = "x.tmpl"\ndest = "/tmp/x"', "no file"),
        ('src = "x.erb"\ndest = "/tmp/x"', "no template engine"),
        ('src = "none.j2"\ndest = "/tmp/x"', "no file"),
        ('src = "../../etc/x.j2"\ndest = "/tmp/x"', "is not below"),
        ('src = "app.j2"\ndest = "relative"', "is not absolute"),
        ('src = "app.j2"\ndest = 7', "template.dest"),
        (GOOD + "gid = -1", "is negative"),
    ],
)
def test_a_fault_of_a_resource_file_is_named(tmp_path: Path, text: str, says: str) -> None:
    told = findings(tmp_path, text)
    assert says in told
    assert "app.toml" in told


def test_commands_of_confds_resources_are_run_by_a_shell(tmp_path: Path) -> None:
    config = resource(tmp_path, GOOD)
    for name in ("app.conf.tmpl", "noending"):
        (tmp_path / "templates" / name).write_text("x")
    text = 'src = "app.conf.tmpl"\ndest = "/tmp/a"\nreload_cmd = "a | b && c"\nmode = "2755"\n'
    resource(tmp_path, text)
    (found,) = load_resources(config)
    assert (found.shell, found.mode) == (True, 0o2755)
    assert "shell syntax" in findings(tmp_path, text + "shell = false\n")
    resource(tmp_path, GOOD + 'shell = true\nreload_cmd = "a | b"\n')
    assert load_resources(config)[0].shell
    resource(tmp_path, 'src = "noending"\ndest = "/tmp/a"\n')
    assert load_resources(config)[0].shell


def test_a_file_may_hold_several_templates(tmp_path: Path) -> None:
    config = resource(tmp_path, GOOD)
    path = tmp_path / "conf.d" / "app.toml"
    one = '[[template]]\nsrc = "app.j2"\ndest = "/tmp/1"\n'
    two = '[[template]]\nsrc = "app.j2"\ndest = "/tmp/2"\nreload_cmd = "own"\n'
    path.write_text(f'check_cmd = "true {{{{.src}}}}"\nreload_cmd = "all"\n{one}{two}')
    found = load_resources(config)
    assert [(r.name, r.reload_cmd, r.check_cmd) for r in found] == [
        ("app-1", "all", "true {{.src}}"),
        ("app-2", "own", "true {{.src}}"),
    ]
    path.write_text(f'reload_cmd = "a | b"\n{one}')
    with pytest.raises(ConfigError, match="shell syntax"):
        load_resources(config)
    path.write_text("template = []")
    with pytest.raises(ConfigError, match="is empty"):
        load_resources(config)


def test_a_broken_file_leaves_what_was_found_before(tmp_path: Path) -> None:
    config = resource(tmp_path, GOOD)
    resource(tmp_path, 'src = "app.j2"\ndest = "/tmp/other"\n', name="other")
    before = find_resources(config)
    assert [one.name for one in before.resources] == ["app", "other"]
    resource(tmp_path, "dest = 7", name="app")
    after = find_resources(config, before)
    assert after.resources == before.resources
    assert after.findings
    assert [one.name for one in find_resources(config).resources] == ["other"]
    (tmp_path / "conf.d" / "app.toml").unlink()
    assert [one.name for one in find_resources(config, after).resources] == ["other"]


def test_the_prefix_of_one_is_replaced_by_that_of_all(tmp_path: Path) -> None:
    config = resource(tmp_path, GOOD + 'prefix = "own/"')
    assert load_resources(config)[0].prefix == "/own"
    for given in ("/all", "all", "/all/"):
        config = DiscoveryConfig(confdir=config.confdir, prefix=given)
        assert load_resources(config)[0].prefix == "/all"


def confds(folder: Path, text: str, path: str = "app.toml") -> Found:
    config = resource(folder, GOOD)
    (folder / "conf.d" / "app.toml").unlink()
    (folder / "templates" / "app.tmpl").write_text("x")
    (folder / "conf.d" / path).parent.mkdir(exist_ok=True)
    (folder / "conf.d" / path).write_text(text)
    return find_resources(config)


CONFDS = '[template]\nsrc = "app.tmpl"\ndest = "/tmp/app"\n'


def test_what_confd_passes_over_is_passed_over_and_told(tmp_path: Path) -> None:
    found = confds(tmp_path, CONFDS + 'keys = ["/"]\nkyes = ["/"]\n[more]\nx = 1\n')
    assert not found.findings
    assert [one.name for one in found.resources] == ["app"]
    told = [str(one) for one in found.passed_over]
    assert [one.partition("file")[0] for one in told] == ["more (", "template.kyes ("]
    assert all("app.toml line" in one and "is passed over" in one for one in told)


@pytest.mark.parametrize(
    ("text", "keys", "told"),
    [
        (CONFDS, (), 1),
        (CONFDS.replace("[template]", "[[template]]"), (), 1),
        (CONFDS + "keys = []", (), 0),
        (CONFDS + 'prefix = "/production"', (), 1),
        (CONFDS.replace(".tmpl", ".j2"), ("/",), 0),
    ],
)
def test_a_template_of_confds_sees_the_keys_that_it_names_and_no_others(
    tmp_path: Path, text: str, keys: tuple[str, ...], told: int
) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "app.j2").write_text("x")
    found = confds(tmp_path, text)
    assert not found.findings
    assert [one.keys for one in found.resources] == [keys]
    assert [one.where for one in found.passed_over] == ["template.keys"] * told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD + 'kyes = ["/"]', "did you mean keys?"),
        (CONFDS.partition("\n")[2] + '[backend]\nbackend = "consul"', "backend"),
        (CONFDS.partition("\n")[2] + 'check_cmd_timeout = "soon"', "check_cmd_timeout"),
        (CONFDS.partition("\n")[2] + "uid = -2", "is negative"),
    ],
)
def test_what_would_be_another_resource_is_refused(tmp_path: Path, text: str, says: str) -> None:
    resource(tmp_path, GOOD)
    (tmp_path / "templates" / "app.tmpl").write_text("x")
    assert says in findings(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("uid = -1\ngid = -1", "uid", None),
        ("keys = []", "keys", ()),
        ('Keys = ["/a"]', "keys", ("/a",)),
        ('RELOAD_CMD = "a | b"', "reload_cmd", "a | b"),
        ('check_cmd_timeout = "1m30s"', "check_timeout_seconds", 90.0),
        ('reload_cmd_timeout = "500ms"', "reload_timeout_seconds", 0.5),
        ('prefix = "x"', "prefix", "/x"),
    ],
)
def test_a_field_is_taken_as_confd_takes_it(
    tmp_path: Path, text: str, name: str, expected: object
) -> None:
    found = confds(tmp_path, CONFDS + text)
    assert not found.findings
    assert {one.where for one in found.passed_over} <= {"template.keys"}
    assert getattr(found.resources[0], name) == expected


@pytest.mark.parametrize("src", ["/app.tmpl", "../templates/app.tmpl", "app.tmpl"])
def test_a_source_is_joined_to_the_folder_as_confd_joins_it(tmp_path: Path, src: str) -> None:
    found = confds(tmp_path, f'[Template]\nSrc = "{src}"\nDest = "relative/app"\n')
    assert found.resources[0].template.samefile(tmp_path / "templates" / "app.tmpl")
    assert found.resources[0].dest == Path.cwd() / "relative" / "app"


@pytest.mark.parametrize(
    ("path", "name"),
    [("sub/app.toml", "sub-app"), ("app.confdtoml", "app"), ("a.b.toml", "a.b")],
)
def test_confds_files_are_found_where_confd_finds_them(
    tmp_path: Path, path: str, name: str
) -> None:
    found = confds(tmp_path, CONFDS, path)
    assert [one.name for one in found.resources] == [name]
    broken = confds(tmp_path, CONFDS + "dest = 7", path)
    assert broken.findings
    config = DiscoveryConfig(confdir=tmp_path)
    assert find_resources(config, found).resources == found.resources


def test_with_sync_only_no_command_is_run(tmp_path: Path) -> None:
    confdir = resource(tmp_path, GOOD + 'check_cmd = "a"\nreload_cmd = "b"').confdir
    (found,) = load_resources(DiscoveryConfig(confdir=confdir, sync_only=True))
    assert (found.check_cmd, found.reload_cmd) == ("", "")


def test_a_shipped_template_is_there_unless_the_folder_has_one(tmp_path: Path) -> None:
    config = resource(tmp_path, 'src = "hosts.j2"\ndest = "/tmp/hosts"')
    assert load_resources(config)[0].template == TEMPLATES / "hosts.j2"
    (tmp_path / "templates" / "hosts.j2").write_text("own")
    assert load_resources(config)[0].template == tmp_path / "templates" / "hosts.j2"


def test_two_resources_never_share_a_file_or_a_name(tmp_path: Path) -> None:
    resource(tmp_path, GOOD)
    shared = resource(tmp_path, GOOD, name="other")
    with pytest.raises(ConfigError, match="app and other both write /tmp/app"):
        load_resources(shared)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    resource(tmp_path, "dest = 1", name="one")
    with pytest.raises(ConfigError) as caught:
        load_resources(resource(tmp_path, "nothing = 1", name="two"))
    assert "one.toml" in str(caught.value)
    assert "two.toml" in str(caught.value)


async def test_check_finds_what_push_and_tls_would_stumble_over(
    tmp_path: Path, authority: Authority
) -> None:
    folder = tmp_path / "tls"
    folder.mkdir()
    for name, key in (("good.test", "good.test"), ("bad.test", "other.test")):
        pair, other = authority.issue(name, name), authority.issue(key, key)
        (folder / f"{name}.crt").write_bytes(pair.cert_file.read_bytes())
        own = pair if name == key else other
        (folder / f"{name}.key").write_bytes(own.key_file.read_bytes())
    (tmp_path / "open").mkdir(mode=0o755)
    text = f'[discovery.nginx]\ntls_dir = "{folder}"\npush_socket = "{tmp_path}/open/s"\n'
    told = [str(one) for one in await cli.findings(config(tmp_path, text))]
    assert any("push_socket" in one and "chmod 700" in one for one in told)
    assert [one for one in told if "tls_dir" in one and "bad.test.crt" in one]
    assert not [one for one in told if "good.test" in one]
    gone = config(tmp_path, f'[discovery.nginx]\nmode = "reload"\ntls_dir = "{tmp_path}/none"\n')
    told = [str(one) for one in await cli.findings(gone)]
    assert any("no folder" in one and "tls_dir" in one for one in told)
    assert not any("push_socket" in one for one in told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('src = "app.j2"\ndest = "/"', "template.dest"),
        ('src = "app.j2"\ndest = "/tmp/"', "template.dest"),
        ('src = "app.j2"\ndest = "/tmp/a\\u0000b"', "template.dest"),
        ('src = "a\\u0000.j2"\ndest = "/tmp/app"', "template.src"),
        (f'{GOOD}check_cmd = " "', "template.check_cmd"),
        (f'{GOOD}reload_cmd = "true \\u0000"', "template.reload_cmd"),
        (f'{GOOD}shell = true\nreload_cmd = "true \\u0000"', "template.reload_cmd"),
    ],
)
def test_a_path_or_command_that_can_be_none_is_found_before_it_is_used(
    tmp_path: Path, text: str, told: str
) -> None:
    assert told in findings(tmp_path, text)


@pytest.mark.parametrize("dest", ["", "/", "/tmp/"])
def test_a_template_of_confds_needs_a_file_to_write_to(tmp_path: Path, dest: str) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "app.tmpl").write_text("x")
    assert "template.dest" in findings(tmp_path, f'src = "app.tmpl"\ndest = "{dest}"')
