"""Settings from file, environment and flags: who wins, what is refused, what it says."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from wharfinger.config import Loaded, Section, doc, load, needs_restart, walk
from wharfinger.errors import ConfigError, Finding
from wharfinger.sections import EtcdConfig, HostConfig


class Retry(Section, frozen=True, kw_only=True):
    seconds: Annotated[float, doc("Between two tries.", gt=0)] = 1.0


class Sink(Section, frozen=True, kw_only=True):
    type: Annotated[Literal["bulk", "loki"], doc("What it speaks.")]
    url: Annotated[str, doc("Where it listens.")]
    token: Annotated[str | None, doc("What it asks for.", secret=True)] = None
    retry: Annotated[Retry, doc("When it is down.")] = Retry(seconds=5.0)
    headers: Annotated[dict[str, str], doc("Sent with each request.")] = msgspec.field(
        default_factory=dict
    )

    def problems(self) -> Iterator[Finding]:
        if not self.url.startswith("http"):
            yield Finding("url", "is no URL", "write http://...")


class Nginx(Section, frozen=True, kw_only=True):
    listen: Annotated[int, doc("Port.", ge=1, le=65535)] = 80
    mode: Annotated[Literal["auto", "push"], doc("auto or push.", restart=True)] = "auto"


def no_dots(text: str) -> str:
    return "has dots" if "." in text else ""


class Shipper(Section, frozen=True, kw_only=True):
    listen: Annotated[str, doc("HOST:PORT.", restart=True)] = "127.0.0.1:7203"
    label: Annotated[str, doc("Without dots.", check=no_dots)] = "x"
    settle_seconds: Annotated[float, doc("Quiet time.", ge=0)] = 0.05
    count: Annotated[int, doc("How many.", ge=1)] = 3
    limit: Annotated[int | None, doc("At most.", ge=1)] = None
    on: Annotated[bool, doc("Whether.")] = True
    folder: Annotated[Path, doc("Where.")] = Path("/var/lib/x")
    token_file: Annotated[Path | None, doc("Token.")] = None
    ports: Annotated[tuple[int, ...], doc("Ports.")] = (1, 2)
    password: Annotated[str | None, doc("Secret.", secret=True)] = None
    nginx: Annotated[Nginx | None, doc("On by presence.")] = None
    sinks: Annotated[tuple[Sink, ...], doc("Where to.")] = (
        Sink(type="bulk", url="http://127.0.0.1:7280"),
    )


class Whole(Section, frozen=True, kw_only=True):
    host: HostConfig = HostConfig()
    etcd: EtcdConfig = EtcdConfig()
    logshipper: Shipper = Shipper()


def read(
    tmp_path: Path,
    text: str | bytes = "",
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> Loaded[Whole]:
    path = tmp_path / "w.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(Whole, path=path, environment=environment or {}, flags=flags)


def findings(
    tmp_path: Path,
    text: str | bytes = "",
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text, environment, flags)
    return [str(f).replace(str(tmp_path), "") for f in refused.value.findings]


class TestPrecedence:
    def test_no_file_at_all_gives_the_defaults(self) -> None:
        loaded = load(Whole, environment={"PATH": "/bin", "HOME": "/root"})
        assert loaded.value == Whole()
        assert set(loaded.origins.values()) == {"default"}
        assert loaded.value.etcd.endpoints == ("127.0.0.1:2379",)

    def test_flags_over_environment_over_file_over_defaults(self, tmp_path: Path) -> None:
        text = '[logshipper]\ncount = 4\nlabel = "f"\nlisten = "1.1.1.1:1"\n'
        environment = {"WHARFINGER_LOGSHIPPER__LABEL": "e", "WHARFINGER_LOGSHIPPER__LISTEN": "e:1"}
        loaded = read(tmp_path, text, environment, {"logshipper.listen": "flag:1"})
        own = loaded.value.logshipper
        assert (own.listen, own.label, own.count, own.settle_seconds) == ("flag:1", "e", 4, 0.05)
        assert loaded.origin("logshipper.listen") == "flag logshipper.listen"
        assert loaded.origin("logshipper.label") == "environment WHARFINGER_LOGSHIPPER__LABEL"
        assert loaded.origin("logshipper.count") == f"file {tmp_path}/w.toml line 2"
        assert loaded.origin("logshipper.settle_seconds") == "default"

    def test_the_environment_names_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "x.toml"
        path.write_text("[logshipper]\ncount = 9\n")
        loaded = load(Whole, environment={"WHARFINGER_CONFIG": str(path)})
        assert (loaded.value.logshipper.count, loaded.path) == (9, path)

    def test_every_leaf_has_an_origin(self, tmp_path: Path) -> None:
        text = '[[logshipper.sinks]]\ntype = "loki"\nurl = "http://x"\n[logshipper.nginx]\n'
        loaded = read(tmp_path, text)
        for key, _, _ in walk(Whole, loaded.value):
            assert loaded.origin(key), key
        assert loaded.origin("logshipper.sinks[0].url").endswith("line 3")
        assert loaded.origin("logshipper.sinks[0].token") == "default"

    def test_origin_is_not_taken_from_a_key_that_merely_begins_alike(self, tmp_path: Path) -> None:
        loaded = read(tmp_path, "[logshipper]\non = false\n")
        assert loaded.origin("logshipper.on").endswith("line 2")
        assert loaded.origin("logshipper.one") == ""


class TestTypes:
    def test_file_values(self, tmp_path: Path) -> None:
        text = """\
[logshipper]
settle_seconds = 1
on = false
ports = [3]
folder = "/srv"
token_file = "/t"
"""
        own = read(tmp_path, text).value.logshipper
        assert own.settle_seconds == 1.0
        assert own.on is False
        assert own.ports == (3,)
        assert (own.folder, own.token_file) == (Path("/srv"), Path("/t"))

    def test_environment_text_is_read_as_the_type(self, tmp_path: Path) -> None:
        prefix = "WHARFINGER_LOGSHIPPER__"
        environment = {
            f"{prefix}COUNT": "7",
            f"{prefix}SETTLE_SECONDS": "0.5",
            f"{prefix}ON": "false",
            f"{prefix}PORTS": "4, 5",
            f"{prefix}TOKEN_FILE": "/t",
            "WHARFINGER_ETCD__ENDPOINTS": "a:1,[::1]:2",
        }
        loaded = read(tmp_path, environment=environment).value
        own = loaded.logshipper
        assert (own.count, own.settle_seconds, own.on, own.ports) == (7, 0.5, False, (4, 5))
        assert own.token_file == Path("/t")
        assert loaded.etcd.endpoints == ("a:1", "[::1]:2")

    def test_arrays_and_tables_as_json(self, tmp_path: Path) -> None:
        environment = {
            "WHARFINGER_ETCD__ENDPOINTS": '["a:1", "b:2"]',
            "WHARFINGER_LOGSHIPPER__NGINX": '{"listen": 81}',
            "WHARFINGER_LOGSHIPPER__SINKS": '[{"type": "loki", "url": "http://l",'
            ' "headers": {"x": "y"}, "retry": {"seconds": 2}}]',
        }
        loaded = read(tmp_path, '[[logshipper.sinks]]\ntype = "bulk"\n', environment)
        assert loaded.value.etcd.endpoints == ("a:1", "b:2")
        assert loaded.value.logshipper.nginx == Nginx(listen=81)
        retry = Retry(seconds=2.0)
        expected = Sink(type="loki", url="http://l", headers={"x": "y"}, retry=retry)
        assert loaded.value.logshipper.sinks == (expected,)
        origin = "environment WHARFINGER_LOGSHIPPER__SINKS"
        assert loaded.origin("logshipper.sinks[0].url") == origin

    def test_an_ipv6_address_alone_is_no_json(self, tmp_path: Path) -> None:
        environment = {"WHARFINGER_ETCD__ENDPOINTS": "[::1]:2379,[::2]:2379"}
        endpoints = read(tmp_path, environment=environment).value.etcd.endpoints
        assert endpoints == ("[::1]:2379", "[::2]:2379")

    @pytest.mark.parametrize("text", ["[1]", '{"a": 1}', "[0-9]+", "null", "true", "7"])
    def test_text_that_looks_like_json_stays_text_where_text_is_wanted(
        self, tmp_path: Path, text: str
    ) -> None:
        environment = {"WHARFINGER_LOGSHIPPER__LABEL": text}
        assert read(tmp_path, environment=environment).value.logshipper.label == text

    def test_empty_text_unsets_what_may_be_unset(self, tmp_path: Path) -> None:
        text = '[logshipper]\ntoken_file = "/t"\nlimit = 5\n[host]\nip = ""\n'
        environment = {
            "WHARFINGER_LOGSHIPPER__TOKEN_FILE": "",
            "WHARFINGER_LOGSHIPPER__LIMIT": "",
        }
        loaded = read(tmp_path, text, environment).value
        assert (loaded.logshipper.token_file, loaded.logshipper.limit) == (None, None)
        assert loaded.host.ip is None

    def test_paths_start_at_the_file_or_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        work = tmp_path / "work"
        work.mkdir()
        monkeypatch.chdir(work)
        monkeypatch.setenv("HOME", "/home/u")
        text = '[logshipper]\nfolder = "a/b"\n'
        own = read(tmp_path, text, {"WHARFINGER_LOGSHIPPER__TOKEN_FILE": "t"}).value.logshipper
        assert (own.folder, own.token_file) == (tmp_path / "a/b", work / "t")
        flags = {"logshipper.folder": "c", "logshipper.token_file": "~/t"}
        own = read(tmp_path, text, flags=flags).value.logshipper
        assert (own.folder, own.token_file) == (work / "c", Path("/home/u/t"))
        (tmp_path / "r.toml").write_text(text)
        own = load(Whole, path=Path("../r.toml"), environment={}).value.logshipper
        assert own.folder.resolve() == tmp_path / "a/b"
        assert own.folder.is_absolute()

    def test_optional_sections_are_on_by_presence(self, tmp_path: Path) -> None:
        assert read(tmp_path).value.logshipper.nginx is None
        assert read(tmp_path, "[logshipper.nginx]").value.logshipper.nginx == Nginx()
        environment = {"WHARFINGER_LOGSHIPPER__NGINX__LISTEN": "8080"}
        assert read(tmp_path, environment=environment).value.logshipper.nginx == Nginx(listen=8080)

    def test_a_sections_own_default_survives_a_partial_table(self, tmp_path: Path) -> None:
        text = '[[logshipper.sinks]]\ntype = "bulk"\nurl = "http://x"\n'
        assert read(tmp_path, text).value.logshipper.sinks[0].retry == Retry(seconds=5.0)
        text += "[logshipper.sinks.retry]\n"
        assert read(tmp_path, text).value.logshipper.sinks[0].retry == Retry(seconds=5.0)

    def test_no_sinks_at_all_can_be_said(self, tmp_path: Path) -> None:
        assert read(tmp_path, "[logshipper]\nsinks = []").value.logshipper.sinks == ()

    def test_a_table_with_keys_of_the_users_own(self, tmp_path: Path) -> None:
        text = """\
[[logshipper.sinks]]
type = "bulk"
url = "http://x"
[logshipper.sinks.headers]
Authorization = "x"
"""
        assert read(tmp_path, text).value.logshipper.sinks[0].headers == {"Authorization": "x"}


class TestFindings:
    def test_all_at_once_each_with_key_place_and_fix(self, tmp_path: Path) -> None:
        text = """\
[etdc]
x = 1
[logshipper]
count = "many"
settle_seconds = -1
ports = [1, "x"]
cuont = 3
label = "a.b"
nginx = 5
[[logshipper.sinks]]
type = "bulk"
url = "nope"
[[logshipper.sinks]]
type = "kafka"
urls = "http://x"
[[logshipper.sinks]]
url = 3
[logshipper.sinks.retry]
seconds = nan
"""
        at = "file /w.toml line"
        assert sorted(findings(tmp_path, text)) == sorted(
            [
                f"etdc ({at} 1): is not a known key; did you mean etcd?",
                (
                    f"logshipper.count ({at} 4): expected an integer, got a string; "
                    "How many; for example count = 3"
                ),
                (
                    f"logshipper.settle_seconds ({at} 5): expected a number >= 0.0; "
                    "Quiet time; for example settle_seconds = 0.05"
                ),
                (
                    f"logshipper.ports[1] ({at} 6): expected an integer, got a string; "
                    "Ports; for example ports = [1, 2]"
                ),
                f"logshipper.cuont ({at} 7): is not a known key; did you mean count?",
                f'logshipper.label ({at} 8): has dots; Without dots; for example label = "x"',
                f"logshipper.nginx ({at} 9): is a table; write it [logshipper.nginx]",
                f"logshipper.sinks[0].url ({at} 12): is no URL; write http://...",
                (
                    f"logshipper.sinks[1].type ({at} 14): 'kafka' is none of bulk, loki; "
                    "What it speaks"
                ),
                f"logshipper.sinks[1].urls ({at} 15): is not a known key; did you mean url?",
                "logshipper.sinks[1].url: is missing; Where it listens",
                "logshipper.sinks[2].type: is missing; What it speaks",
                (
                    f"logshipper.sinks[2].url ({at} 17): expected a string, got an integer; "
                    "Where it listens"
                ),
                (
                    f"logshipper.sinks[2].retry.seconds ({at} 19): expected a number > 0.0; "
                    "Between two tries; for example seconds = 1.0"
                ),
            ]
        )

    def test_a_limit_on_what_may_be_unset(self, tmp_path: Path) -> None:
        assert read(tmp_path, "[logshipper]\nlimit = 5\n").value.logshipper.limit == 5
        (told,) = findings(tmp_path, "[logshipper]\nlimit = 0\n")
        assert "expected an integer >= 1" in told
        (told,) = findings(tmp_path, '[logshipper]\nlimit = "x"\n')
        assert "expected an integer, got a string" in told

    def test_a_mistyped_key_does_not_hide_what_is_wrong_between_keys(self, tmp_path: Path) -> None:
        told = findings(tmp_path, '[host]\nnmae = "x"\nip = "10.0.0.1"\ncidr = "10.0.0.0/8"\n')
        assert told == [
            "host.nmae (file /w.toml line 2): is not a known key; did you mean name?",
            "host.cidr (file /w.toml line 4): ip and cidr are set together; keep one of them",
        ]

    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            (b"a = ", "is not TOML: Invalid value (at end of document)"),
            (
                b"[etcd]\nprefix = 1\nprefix = 2\n",
                "is not TOML: Cannot overwrite a value (at line 3",
            ),
            (b"[etcd]\n[etcd]", "is not TOML: Cannot declare ('etcd',) twice (at line 2"),
            (b"x = '\xff'", "is not UTF-8: byte 5 is 0xff"),
            (b"a = " + b"[" * 5000, "is not TOML: it is nested too deeply"),
            (b"a = " + b"9" * 5000, "is not TOML: Exceeds the limit"),
            (b"#" * (2**20 + 1), "is larger than 1048576 bytes"),
        ],
    )
    def test_a_file_that_cannot_be_read_as_toml(
        self, tmp_path: Path, data: bytes, problem: str
    ) -> None:
        (told,) = findings(tmp_path, data)
        assert told.startswith(f"/w.toml: {problem}")

    def test_a_file_that_is_not_there_or_is_a_folder(self, tmp_path: Path) -> None:
        for path, problem in ((tmp_path / "no", "No such file"), (tmp_path, "Is a directory")):
            with pytest.raises(ConfigError, match=problem) as refused:
                load(Whole, path=path, environment={})
            assert str(path) in str(refused.value)

    def test_the_files_fault_does_not_hide_that_of_a_flag(self, tmp_path: Path) -> None:
        told = findings(tmp_path, "x = ", flags={"logshipper.count": "x"})
        assert len(told) == 2

    def test_a_byte_order_mark_is_no_fault(self, tmp_path: Path) -> None:
        text = b"\xef\xbb\xbf[logshipper]\r\ncount = 8\r\n"
        assert read(tmp_path, text).value.logshipper.count == 8

    def test_other_daemons_sections_are_not_read_but_unknown_ones_are_refused(
        self, tmp_path: Path
    ) -> None:
        text = "[registrar]\nnonsense = 1\n[discovery]\n[logstore]\n[docker]\n"
        environment = {"WHARFINGER_REGISTRAR__NONSENSE": "1"}
        assert read(tmp_path, text, environment).value == Whole()
        assert findings(tmp_path, "[registry]") == [
            "registry (file /w.toml line 1): is not a known key; did you mean registrar?"
        ]
        assert findings(tmp_path, 'listen = "x"')[0].startswith("listen (file /w.toml line 1): is")

    def test_a_flag_for_another_daemon_is_a_mistake(self, tmp_path: Path) -> None:
        (told,) = findings(tmp_path, flags={"registrar.listen": "x"})
        assert told == (
            "registrar (flag registrar.listen): is a section that this daemon does not read"
        )

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("WHARFINGER_ETCD_PREFIX", "did you mean WHARFINGER_ETCD__PREFIX?"),
            ("WHARFINGER_ETCD", "did you mean WHARFINGER_ETCD__KEY?"),
            ("WHARFINGER_ETCD__PREFX", "did you mean prefix?"),
            ("WHARFINGER_ETDC__PREFIX", "did you mean etcd?"),
            ("WHARFINGER_ETCD__PREFIX__X", "is a value, not a table"),
            ("WHARFINGER_LOGSHIPPER__SINKS__0__URL", "or the whole array as JSON"),
            ("WHARFINGER_LOGSHIPPER__SINKS", "is an array of tables"),
            ("WHARFINGER_LOGSHIPPER__NGINX", "is a table"),
            ("WHARFINGER_LOGSHIPPER__COUNT", "expected an integer, got a string"),
            ("WHARFINGER_LOGSHIPPER__ON", "expected true or false, got a string"),
            ("WHARFINGER_LOGSHIPPER__", "is not a known key"),
            ("WHARFINGER___", "is not a known key"),
        ],
    )
    def test_a_wrong_variable_is_named(self, tmp_path: Path, name: str, told: str) -> None:
        (found,) = findings(tmp_path, environment={name: "/x"})
        assert told in found
        assert name in found

    def test_variables_of_others_are_left_alone(self, tmp_path: Path) -> None:
        environment = {"WHARFINGER_STAGE": "x", "WHARFINGERS__X": "y", "ETCD__PREFIX": "z"}
        assert read(tmp_path, environment=environment).value == Whole()

    def test_bytes_that_are_not_utf8(self, tmp_path: Path) -> None:
        (told,) = findings(tmp_path, environment={"WHARFINGER_LOGSHIPPER__LABEL": "\udcff"})
        assert "is not UTF-8" in told
        findings(tmp_path, environment={"WHARFINGER_LOGSHIPPER__PORTS": "\udcff"})
        findings(tmp_path, environment={"WHARFINGER_LOGSHIPPER__\udcff": "x"})

    @pytest.mark.parametrize("text", ["", "a\\u0000b"])
    def test_a_path_that_is_none(self, tmp_path: Path, text: str) -> None:
        (told,) = findings(tmp_path, f'[logshipper]\nfolder = "{text}"')
        assert "logshipper.folder" in told
        assert "is no path" in told

    @pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
    def test_numbers_that_are_none(self, tmp_path: Path, value: str) -> None:
        findings(tmp_path, f"[logshipper]\nsettle_seconds = {value}")
        findings(tmp_path, environment={"WHARFINGER_LOGSHIPPER__SETTLE_SECONDS": value})

    def test_huge_and_hostile_text_is_shown_short_and_on_one_line(self, tmp_path: Path) -> None:
        huge = "x" * 100_000
        text = f"""\
[logshipper]
"{huge}" = 1
"a\\nb\\u001b[31m" = 1
sinks = [{{ type = "{huge}", url = "http://x" }}]
listen = 3
[etcd]
prefix = "{huge}"
endpoints = ["{huge}"]
"""
        told = findings(tmp_path, text)
        assert len(told) == 6
        for line in told:
            assert len(line) < 600
            assert line.isprintable()

    def test_a_secret_is_not_in_the_finding(self, tmp_path: Path) -> None:
        class Safe(Section, frozen=True, kw_only=True):
            mode: Annotated[Literal["a"], doc("Mode.", secret=True)] = "a"

        path = tmp_path / "s.toml"
        path.write_text('mode = "hunter2"')
        with pytest.raises(ConfigError) as refused:
            load(Safe, path=path, environment={})
        assert "hunter2" not in str(refused.value)


class TestReload:
    def test_names_what_only_a_restart_applies(self) -> None:
        new = Whole(logshipper=Shipper(listen="x:1", count=5, nginx=Nginx()))
        assert needs_restart(Whole, Whole(), new) == ("logshipper.listen",)
        assert needs_restart(Whole, Whole(), Whole()) == ()

    def test_looks_into_optional_sections_that_are_there_both_times(self) -> None:
        old = Whole(logshipper=Shipper(nginx=Nginx()))
        new = Whole(logshipper=Shipper(nginx=Nginx(mode="push", listen=81)))
        assert needs_restart(Whole, old, new) == ("logshipper.nginx.mode",)

    def test_a_whole_section_may_need_it(self) -> None:
        class Outer(Section, frozen=True, kw_only=True):
            inner: Annotated[Nginx | None, doc("On by presence.", restart=True)] = None

        for new in (Outer(inner=Nginx()), Outer(inner=Nginx(listen=1))):
            assert needs_restart(Outer, Outer(), new) == ("inner",)
            assert needs_restart(Outer, new, Outer()) == ("inner",)

    def test_looks_into_arrays_of_tables(self) -> None:
        class Item(Section, frozen=True, kw_only=True):
            name: Annotated[str, doc("Name.", restart=True)] = "a"

        class Items(Section, frozen=True, kw_only=True):
            items: Annotated[tuple[Item, ...], doc("Items.")] = ()

        old, new = Items(items=(Item(), Item(name="b"))), Items(items=(Item(), Item(name="c")))
        assert needs_restart(Items, old, new) == ("items[1].name",)
        # What is made at the start neither comes nor goes without one.
        assert needs_restart(Items, old, Items(items=(Item(),))) == ("items[1]",)
        assert needs_restart(Items, Items(items=(Item(),)), old) == ("items[1]",)

    def test_tables_that_a_reload_applies_come_and_go(self) -> None:
        class Item(Section, frozen=True, kw_only=True):
            name: Annotated[str, doc("Name.")] = "a"

        class Items(Section, frozen=True, kw_only=True):
            items: Annotated[tuple[Item, ...], doc("Items.")] = ()

        assert needs_restart(Items, Items(items=(Item(),)), Items()) == ()


def test_walk_gives_every_leaf_and_takes_none_for_a_section() -> None:
    keys = [key for key, _, _ in walk(Whole, Whole())]
    assert len(keys) == len(set(keys))
    assert {"logshipper.nginx", "logshipper.sinks[0].retry.seconds", "host.name"} <= set(keys)
    keys = [key for key, _, _ in walk(Whole, Whole(logshipper=Shipper(nginx=Nginx(), sinks=())))]
    assert {"logshipper.nginx.listen", "logshipper.sinks"} <= set(keys)
