"""Templates: the shipped one against a golden file and a hostile corpus, and the sandbox."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from discovery.builtin.config import NginxConfig
from discovery.builtin.nginxfile import LUA, LUA_FILES, Seed, Site, lua_pieces
from discovery.builtin.virtualhosts import virtual_hosts
from discovery.gotemplate.limits import Limits
from discovery.model import Instance, Route, Service, Snapshot
from discovery.resources.render import (
    Rendered,
    compile_template,
    nginx_quoted,
    render,
)
from discovery.resources.resources import BUILTIN_TEMPLATE, SHIPPED, TEMPLATES, Resource
from discovery.resources.stopwatch import stopwatch
from discovery.services.tree import Tree
from wharfinger import kv
from wharfinger.errors import Rejected, Unavailable
from wharfinger.operator.parts.nginx import NginxServer

GOLDEN = Path(__file__).parent / "golden"
BUILTIN = Resource("nginx", BUILTIN_TEMPLATE, Path("/x"), nginx=NginxConfig(listen=8080))


def service(name: str, *instances: Instance, routes: tuple[Route, ...] = ()) -> Service:
    app, _, env = name.rpartition("_")
    claimed = {Route(i.http_host, i.http_path) for i in instances if i.http_host}
    return Service(name, app, env, instances, tuple(sorted({*claimed, *routes})))


def builtin(snapshot: Snapshot, listen: int | str = 8080) -> Rendered:
    resource = Resource("nginx", BUILTIN_TEMPLATE, Path("/x"), nginx=NginxConfig(listen=listen))
    return render(resource, compile_template(BUILTIN_TEMPLATE), snapshot)


def pushed(snapshot: Snapshot, listen: int | str = 8080, **site: Any) -> Rendered:
    resource = Resource("nginx", BUILTIN_TEMPLATE, Path("/x"), nginx=NginxConfig(listen=listen))
    where = Site(push=True, **site)
    return render(resource, compile_template(BUILTIN_TEMPLATE), snapshot, where)


def own(folder: Path, text: str, snapshot: Snapshot | None = None, **more: object) -> str:
    path = folder / "own.j2"
    path.write_text(text)
    resource = Resource("own", path, folder / "out", **more)  # type: ignore[arg-type]
    return render(resource, compile_template(path), snapshot or SNAPSHOT).content.decode()


SNAPSHOT = Snapshot(
    5,
    (
        service("api_prod", Instance("10.0.0.3", 80, http_host="shop.test", http_path="/api")),
        service("blog_prod", routes=(Route("blog.test", "/"),)),
        service("plain_prod", Instance("10.0.0.4", 80)),
        service(
            "shop_prod",
            Instance("10.0.0.1", 80, weight=3, http_host="shop.test"),
            Instance("10.0.0.2", 80, weight=0, http_host="shop.test"),
            Instance("::1", 80, http_host="*.shop.test"),
        ),
    ),
    {"/myapp/url": "db;{}"},
)


def test_the_shipped_template_has_not_changed_unseen() -> None:
    rendered = builtin(SNAPSHOT)
    path = GOLDEN / "nginx.conf"
    assert rendered.content.decode() == path.read_text()
    assert len(rendered.generation) == 16
    assert rendered.content.count(rendered.generation.encode()) == 2


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_other_shipped_templates_have_not_changed_unseen(name: str) -> None:
    template = TEMPLATES / name
    services = (
        *SNAPSHOT.services,
        service("udp_prod", Instance("10.0.0.7", 53, protocol="udp")),
        service("zoo_prod", Instance("10.0.0.8", 80, state="draining", http_host="shop.test")),
    )
    resource = Resource(name, template, Path("/x"))
    rendered = render(resource, compile_template(template), Snapshot(5, services))
    assert rendered.content.decode() == (GOLDEN / name.removesuffix(".j2")).read_text()


def test_the_pushed_files_have_not_changed_unseen() -> None:
    services = (
        service("rpc_prod", Instance("10.0.0.5", 80, tags=("grpc",)), routes=(Route("r", "/"),)),
        service("bound_prod", Instance("10.0.0.6", 80, tags=("balance=sticky",), http_host="b")),
        *SNAPSHOT.services,
    )
    rendered = pushed(Snapshot(5, services))
    text = rendered.content.decode().replace(rendered.generation, "GENERATION")
    # The code is in its own files; here it would drown what the template does.
    for piece in lua_pieces():
        text = text.replace(piece, "...")
    assert text == (GOLDEN / "nginx-push.conf").read_text()


def test_the_generation_of_a_pushed_file_names_all_but_the_peers() -> None:
    def generation(*instances: Instance, **site: Any) -> str:
        shop = service("shop_prod", *instances, routes=(Route("shop.test", "/"),))
        return pushed(Snapshot(1, (shop,)), **site).generation

    one, two = Instance("10.0.0.1", 80), Instance("10.0.0.2", 80)
    assert generation(one) == generation(one, two) == generation()
    assert generation(one, peers_by_reload=True) != generation(two, peers_by_reload=True)
    assert generation(one) != generation(Instance("10.0.0.1", 80, tags=("grpc",)))


def test_a_long_seed_is_told_in_literals_that_nginx_can_read() -> None:
    pieces = ("round_robin 1 10 http", *(f"10.0.{n // 250}.{n % 250}:80/1/p" for n in range(999)))
    literals = re.findall(r'"([^"]*)"', Seed(7, pieces).lua)
    assert "|".join(literals) == Seed(7, pieces).text
    assert max(map(len, literals)) < 1100


def test_the_code_fits_the_strings_that_carry_it() -> None:
    code = "".join(lua_pieces())
    assert not set(code) & set("'$\\")
    assert max(map(len, lua_pieces())) < 4000
    for name in LUA_FILES:
        for line in (LUA / name).read_text().splitlines():
            if not line.strip().startswith("--"):
                assert line.strip() in code


def test_the_generation_names_the_content() -> None:
    assert builtin(SNAPSHOT) == builtin(SNAPSHOT)
    assert builtin(SNAPSHOT).generation != builtin(Snapshot()).generation
    assert builtin(SNAPSHOT).generation != builtin(SNAPSHOT, "127.0.0.1:8080").generation


def test_of_two_claims_one_is_refused_by_name() -> None:
    claim = Route("shop.test", "/")
    first = service("a_prod", Instance("10.0.0.1", 80), routes=(claim,))
    second = service("b_prod", Instance("10.0.0.2", 80), routes=(claim,))
    hosts, refused = virtual_hosts([second, first])
    assert [(h.host, h.routes[0].service.name) for h in hosts] == [("shop.test", "a_prod")]
    assert [one.key for one in refused] == ["/b_prod/"]
    empty = service("a_prod", routes=(claim,))
    hosts, refused = virtual_hosts([second, empty])
    assert hosts[0].routes[0].service.name == "b_prod"
    assert not refused


def test_no_upstream_of_the_shipped_template_takes_udp_while_own_ones_may(tmp_path: Path) -> None:
    udp = Instance(
        "10.0.0.9", 53, http_host="dns.test", protocol="udp", attributes={"region": "eu"}
    )
    both = service("dns_prod", Instance("10.0.0.8", 80), udp, routes=())
    snapshot = Snapshot(1, (service("alone_prod", udp), both))
    text = builtin(snapshot).content.decode()
    assert "10.0.0.9" not in text
    assert "server 10.0.0.8:80;" in text
    assert "upstream alone_prod {" in text  # somebody's own server block may name it
    text = (
        "{% for i in instances('dns_prod') %}"
        "{{ i.protocol }} {{ i.attributes.region | default('-') }} {% endfor %}"
    )
    assert own(tmp_path, text, snapshot) == "tcp - udp eu "


def test_templates_see_typed_services_and_confds_functions(tmp_path: Path) -> None:
    text = (
        "{% for i in instances('shop_prod') %}{{ i.address }}*{{ i.weight }} {% endfor %}"
        "{{ instances('none') | length }} {{ getv('/myapp/url') }} {{ exists('/x') }} "
        "{{ getvs('/plain_prod/*') | join(',') }} {{ ls('/myapp') | join }} "
        "{{ services | map(attribute='name') | join(',') }}"
    )
    assert own(tmp_path, text) == (
        "10.0.0.1:80*3 10.0.0.2:80*0 [::1]:80*1 0 db;{} False 10.0.0.4:80 url "
        "api_prod,blog_prod,plain_prod,shop_prod"
    )


def test_the_seeds_loop_prints_addresses_as_they_are(tmp_path: Path) -> None:
    text = '{% for it in getvs("/shop_prod/*") %}\nserver {{ it }};\n{% endfor %}\n'
    expected = "server 10.0.0.1:80;\nserver 10.0.0.2:80;\nserver [::1]:80;\n"
    assert own(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ nothing }}", "own.j2 line 1: UndefinedError: 'nothing' is undefined"),
        ("\n{{ services[0].nothing }}", "line 2"),
        ("{{ getv('/none') }}", "key does not exist: /none"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
        ("{{ services[0].__init__.__globals__ }}", "SecurityError"),
        ("{{ self.__init__.__globals__ }}", "SecurityError|is unsafe"),
        ("{{ getv.__self__ }}", "SecurityError|is unsafe"),
        ("{{ getv.__func__.__globals__ }}", "SecurityError|is unsafe"),
        ("{% set x = [] %}{{ x.append(1) }}", "SecurityError"),
        ("{{ range(1000000) | list }}", "OverflowError"),
        ("{{ 'x' * 2 ** 70 }}", "values of more than"),
        ("{{ gets('[') }}", "syntax error in pattern"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{% include '../secret' %}", "TemplateNotFound"),
        ("{{ getv('/myapp/url') ~ '$x' | nginx }}", "cannot stand"),
    ],
)
def test_a_template_that_fails_says_where_and_reaches_nothing(
    tmp_path: Path, text: str, why: str
) -> None:
    with pytest.raises(Rejected) as caught:
        own(tmp_path, text)
    assert re.search(why, str(caught.value)), caught.value


def test_a_template_that_does_not_compile_says_where(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"own\.j2 line 2"):
        own(tmp_path, "\n{% if %}")
    with pytest.raises(Rejected, match=r"x\.conf: No such file"):
        compile_template(tmp_path / "x.conf")


def test_bytes_that_are_no_text_come_out_as_they_were(tmp_path: Path) -> None:
    tree = Tree()
    raw = b"\xff\x00caf\xc3\xa9"
    tree.hear(kv.Listed(kv.Snapshot(1, {"/k": kv.KeyValue("/k", raw, 1, 1, 1, 0)})))
    path = tmp_path / "own.j2"
    path.write_text("{{ getv('/k') }}")
    resource = Resource("own", path, tmp_path / "out")
    assert render(resource, compile_template(path), tree.snapshot()).content == raw


def test_too_few_instances_render_nothing(tmp_path: Path) -> None:
    assert own(tmp_path, "x", min_instances=5) == "x"
    with pytest.raises(Rejected, match="5 of at least 6 instances"):
        own(tmp_path, "x", min_instances=6)
    with pytest.raises(Rejected, match="3 of at least 4"):
        own(tmp_path, "x", min_instances=4, keys=("/shop_prod",))


@pytest.mark.parametrize("value", ["", "a b", 'a"b', "a\\b", "a;b", "{", "é", "\\\\", "a'b#"])
def test_the_filter_quotes_for_nginx(value: str) -> None:
    quoted = nginx_quoted(value)
    assert quoted[0] == quoted[-1] == '"'
    inside = quoted[1:-1]
    assert re.sub(r"\\(.)", r"\1", inside) == value
    assert not re.search(r'(?<!\\)(\\\\)*"', inside)


@pytest.mark.parametrize("value", ["$host", "a\nb", "\x00", "a\x1b", "x" * 5000, "\u2028"])
def test_the_filter_refuses_what_cannot_be_quoted(value: str) -> None:
    with pytest.raises(Rejected):
        nginx_quoted(value)


PAYLOADS = [
    "; } evil {", "; }", "{", "}", ";", "#", "\n", "\r\nserver {", "$host", "${x}", '"', "'", "\\",
    " ", "\t", "\x00", "a b", "*", "~", "~*", "^~", "= /", "@x", "/../", "//", "%0a", "%7b",
    "\u2028", "\uff1b", "\u00e9", "a" * 300, "." * 50, "-", "_", "{{ x }}", "{% x %}", "<%", "|",
    "&&", "`id`", "$(id)", "unix:/x", "1.1.1.1:80 weight=9", "127.0.0.1:80;server 1.1.1.1:80",
    "{generation}", "return 200 pwned;", "include /etc/passwd;", "\\n}", "%s",
    "} server { return 200 pwned; } #", "a;return 200 pwned", "x:1", "[::1]", "0x7f.1",
    "1.2.3.4-80", "\ud800",
]  # fmt: skip


def hostile_entries() -> dict[str, kv.KeyValue]:
    """Every payload in every place that a writer of etcd controls."""
    entries: dict[str, kv.KeyValue] = {}
    numbers = itertools.count(1)

    def add(key: str, value: str) -> None:
        raw = value.encode("utf-8", "surrogatepass")
        entries[key] = kv.KeyValue(key, raw, 1, 1, 1, 0)

    def describe(**fields: object) -> None:
        number = next(numbers)
        name = f"meta-{number}_prod"
        add(f"/{name}/10.9.{number // 250}.{number % 250 + 1}-80",
            f"10.9.{number // 250}.{number % 250 + 1}:80")  # fmt: skip
        add(
            f"/wharfinger/instances/{name}/10.9.{number // 250}.{number % 250 + 1}-80",
            json.dumps(fields),
        )

    for number, text in enumerate(PAYLOADS):
        address = f"10.8.0.{number + 1}"
        add(f"/value_prod/{address}-80", f"{address}:80{text}")
        add(f"/value_prod/{address}-81", text)
        add(f"/value_prod/{address}-82{text}", f"{address}:82")
        add(f"/app{text}_prod/{address}-80", f"{address}:80")
        add(f"/app_prod{text}/{address}-80", f"{address}:80")
        add(f"/{text}_prod/{address}-80", f"{address}:80")
        for field in ("http_host", "http_path", "name", "image", "host", "version", "id"):
            describe(**{"http_host": "h.test", field: text})
            describe(**{"http_host": "h.test", field: f"/ok{text}"})
            describe(**{"http_host": "h.test", field: f"ok{text}.test"})
        describe(http_host="h.test", tags=[text])
        describe(http_host="h.test", weight=text)
        describe(http_host="h.test", tags=["grpc", "backup", f"balance={text}"])
        for name in ("balance", "max_fails", "fail_timeout", "backup", "down", "grpc", "state"):
            describe(http_host="h.test", tags=[f"{name}={text}"])
            describe(http_host="h.test", attributes={name: text})
    return entries


NAME = r"[A-Za-z0-9._-]+"
PLACE = r"(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):\d+"
HOST = r"-m (str|end) [a-z0-9._-]+"
GRAMMARS = {
    "hosts.j2": rf"{NAME} {PLACE}",
    "haproxy.cfg.j2": (
        rf"(frontend|backend) {NAME}|    (bind :80|mode http|option forwardfor|balance roundrobin)"
        rf"|    timeout (client|connect|server) \d+s|    default_backend {NAME}|"
        rf"|    http-request return status (404|503) content-type text/plain string "
        rf'"(No such host here|No instance of {NAME} is registered)\."'
        rf"|    server [0-9a-f.:]+-\d+ {PLACE} weight \d+ check"
        rf"|    use_backend {NAME} if {{ req\.hdr\(host\),field\(1,:\),lower {HOST} }}"
        rf"( {{ path(_beg)? /[A-Za-z0-9/._~@-]+ }})?"
    ),
}


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_nothing_hostile_gets_into_the_other_shipped_files(name: str) -> None:
    tree = Tree()
    tree.hear(kv.Listed(kv.Snapshot(1, hostile_entries())))
    snapshot = tree.snapshot()
    template = compile_template(TEMPLATES / name)
    text = render(Resource(name, TEMPLATES / name, Path("/x")), template, snapshot).content.decode()
    lines = text.splitlines()
    assert len(lines) > 1000
    grammar = re.compile(GRAMMARS[name])
    assert [line for line in lines if not grammar.fullmatch(line)] == []


def test_nothing_hostile_gets_into_the_seeds_loop(tmp_path: Path) -> None:
    tree = Tree()
    entries = hostile_entries()
    for key, value in (
        ("10.0.0.1-80", "10.0.0.1:80"),
        ("10.0.0.2-80/", "; evil"),
        ("/x", "; evil"),
    ):
        whole = f"/value_prod/{key}"
        entries[whole] = kv.KeyValue(whole, value.encode(), 1, 1, 1, 0)
    tree.hear(kv.Listed(kv.Snapshot(1, entries)))
    snapshot = tree.snapshot()
    path = tmp_path / "own.tmpl"
    path.write_text('{{range gets "/value_prod/*"}}server {{.Value}}; # {{base .Key}}\n{{end}}')
    found = render(Resource("own", path, tmp_path / "x"), compile_template(path), snapshot)
    assert found.content == b"server 10.0.0.1:80; # 10.0.0.1-80\n"
    assert len([one for one in snapshot.rejected if one.key.startswith("/value_prod/")]) > 100


@pytest.mark.real
@pytest.mark.parametrize("push", [True, False], ids=["push", "reload"])
async def test_nothing_hostile_gets_into_the_file_or_breaks_it(tmp_path: Path, push: bool) -> None:
    entries = hostile_entries()
    assert len(entries) > 1000
    tree = Tree()
    tree.hear(kv.Listed(kv.Snapshot(1, entries)))
    snapshot = tree.snapshot()
    nginx = NginxServer(tmp_path / "nginx", lua=True)
    await nginx.start()
    try:
        rendered = builtin(snapshot, nginx.port)
        if push:
            # Beside its seeds the file holds what it would hold with nothing at all, or names.
            rendered = pushed(snapshot, nginx.port, socket=tmp_path / "s")
        text = rendered.content.decode("ascii")
        for marker in ("pwned", "evil", "passwd", "id`", "$("):
            assert marker not in text
        assert text.count("unix:") == push
        seeds = re.findall(r'w\.seed\("(.*?)", (.*?), \{(.*?)\}\)', text, re.DOTALL)
        assert len(seeds) == (len(snapshot.services) if push else 0)
        for name, stamp, literals in seeds:
            assert re.fullmatch(r"[A-Za-z0-9._-]+ 0", f"{name} {stamp}")
            assert re.fullmatch(r'"[a-z0-9_.:/| \[\]]+"(,\s*"[a-z0-9_.:/| \[\]]+")*', literals)
        if push:
            nginx.include.write_bytes(rendered.content)
            await nginx.test()
            return
        # Two directives more than the template's own would show here.
        allowed = {
            "server", "listen", "server_name", "location", "access_log", "keepalive_timeout",
            "default_type", "return", "add_header", "proxy_pass", "proxy_http_version",
            "proxy_connect_timeout",
            "proxy_set_header", "upstream", "map", "default", '""', "}", "#", "grpc_pass",
            "grpc_set_header", "grpc_connect_timeout", "client_max_body_size", "max_fails",
        }  # fmt: skip
        words = {line.split()[0] for line in text.splitlines() if line.strip()}
        assert words <= allowed
        nginx.include.write_bytes(rendered.content)
        await nginx.test()
    except Unavailable as error:
        pytest.fail(str(error))
    finally:
        await nginx.stop()


@pytest.mark.real
async def test_long_and_many_hosts_are_valid_without_the_users_help(tmp_path: Path) -> None:
    label = "x" * 63
    hosts = [f"{'a' * n}.test" for n in range(1, 60)]
    hosts += [f"{label}.{label}.{label}.test", f"*.{label}.{label}.test", f"*.{label}"]
    services = [
        service(f"s{n}_prod", Instance("10.0.0.1", 1 + n, http_host=host, http_path=path))
        for n, (host, path) in enumerate(itertools.product(hosts, ["/", "/" + "p" * 199]))
    ]
    nginx = NginxServer(tmp_path / "nginx")
    await nginx.start()
    try:
        config = nginx.folder / "nginx.conf"
        config.write_text(config.read_text().replace("server_names_hash_bucket_size 128;", ""))
        nginx.include.write_bytes(builtin(Snapshot(1, tuple(services)), nginx.port).content)
        await nginx.test()
    except Unavailable as error:
        pytest.fail(str(error))
    finally:
        await nginx.stop()


@pytest.mark.parametrize(
    "text",
    [
        '{{ "\\ud800" }}',
        '{{ "%c" % 55296 }}',
        "{% for a in [1] %}" * 25 + "{% endfor %}" * 25,
        "{% if 1 %}" * 200 + "{% endif %}" * 200,
        "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
        "{{ " + "1" * 5000 + " }}",
    ],
    ids=["surrogate", "surrogate made", "loops", "conditions", "brackets", "digits"],
)
def test_what_jinja_or_python_cannot_take_fails_that_template_alone(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(Rejected, match=r"own\.j2"):
        own(tmp_path, text)


def test_a_render_is_not_to_blame_for_a_busy_host(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("discovery.resources.stopwatch.time.monotonic", lambda: now[0])
    monkeypatch.setattr("discovery.resources.stopwatch.time.thread_time", lambda: now[0] / 100)
    seconds = stopwatch()
    assert seconds() == 0
    now[0] += 30  # others had the processor
    assert seconds() < Limits().seconds
    now[0] += 60  # but nobody waits for ever
    assert seconds() > Limits().seconds
