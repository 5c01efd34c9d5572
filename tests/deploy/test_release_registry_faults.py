"""What registries do that none should: who-are-you, failures, cut answers, lies."""

import base64
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from deploy.release.registry import Access, Manifest, Registry, connection
from deploy.release.registry.manifest import OCI_MANIFEST, digest_of
from tests.stack.fakeregistry import FakeRegistry, basic, cut, cut_within, says
from tests.stack.tls import Authority
from wharfinger.errors import ConfigError, Rejected, Unavailable

BODY = b'{"schemaVersion":2,"config":null}'
DIGEST = digest_of(BODY)


def image(server: FakeRegistry) -> str:
    server.hold("shop", "r1", BODY)
    return f"{server.address}/shop"


@pytest.mark.parametrize("fault", [says(500), says(503), says(429), cut, cut_within])
async def test_what_fails_is_asked_again(fake_registry: FakeRegistry, fault: Any) -> None:
    name = image(fake_registry)
    async with Registry() as client:
        assert await client.digest_of(name, "r1") == DIGEST
        fake_registry.moods = [fault, fault]
        assert await client.digest_of(name, "r1") == DIGEST


async def test_what_fails_for_long_is_away(fake_registry: FakeRegistry) -> None:
    name = image(fake_registry)
    async with Registry() as client:
        await client.tags(name)
        said = '{"errors":[{"code":"UNKNOWN","message":"disk\\u001b[2J full"}]}'
        fake_registry.moods = [says(500, said)] * 4
        with pytest.raises(Unavailable, match=r"500 UNKNOWN: disk.*tried 4 times") as error:
            await client.tags(name)
        assert str(error.value).isprintable()


async def test_it_is_left_alone_for_as_long_as_it_asks(
    fake_registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = image(fake_registry)
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async with Registry() as client:
        await client.tags(name)
        monkeypatch.setattr("asyncio.sleep", sleep)
        fake_registry.moods = [says(429, Retry_After="7"), says(503, Retry_After="86400")]
        assert await client.tags(name) == ("r1",)
        assert waited == [7.0, connection.LONGEST_WAIT_SECONDS]
        # A time of day would be by another's clock.
        for odd in ("-1", "soon", "9" * 5_000, "Fri, 31 Dec 1999 23:59:59 GMT", "1.5", "\u00b2"):
            waited.clear()
            fake_registry.moods = [says(429, Retry_After=odd)]
            assert await client.tags(name) == ("r1",)
            assert 0 < waited[0] <= connection.LONGEST_WAIT_SECONDS


async def test_what_it_will_not_is_not_asked_again(fake_registry: FakeRegistry) -> None:
    name = image(fake_registry)
    async with Registry() as client:
        await client.tags(name)
        fake_registry.moods = [says(403, '{"errors":[{"code":"DENIED"}]}')]
        with pytest.raises(Rejected, match="403 DENIED"):
            await client.tags(name)


async def test_bytes_that_are_not_what_was_asked_for(fake_registry: FakeRegistry) -> None:
    name = image(fake_registry)
    async with Registry() as client:
        fake_registry.manifests[f"shop/{DIGEST}"] = BODY + b" "
        with pytest.raises(Rejected, match="damaged, or it lies"):
            await client.manifest(name, DIGEST)
        with pytest.raises(Rejected, match="damaged, or it lies"):
            await client.put_tag(name, DIGEST, "r2")
    assert "shop/r2" not in fake_registry.manifests


async def test_a_header_that_is_not_of_its_bytes(fake_registry: FakeRegistry) -> None:
    name = image(fake_registry)
    lie = {"Docker-Content-Digest": digest_of(b"other"), "Content-Type": OCI_MANIFEST}
    async with Registry() as client:
        await client.tags(name)
        fake_registry.moods = [says(200, BODY.decode(), **lie)]
        with pytest.raises(Rejected, match="damaged, or it lies"):
            await client.digest_of(name, "r1")


async def test_a_manifest_that_is_changed_as_it_is_put(fake_registry: FakeRegistry) -> None:
    name = image(fake_registry)
    async with Registry() as client:
        await client.tags(name)
        fake_registry.moods = [says(201, Docker_Content_Digest=digest_of(b"other"))]
        with pytest.raises(Rejected, match="changes manifests"):
            await client.put_manifest(name, "r2", Manifest(OCI_MANIFEST, BODY))


async def test_an_answer_without_end(fake_registry: FakeRegistry) -> None:
    name = image(fake_registry)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(10_000):
            await response.write(b"x" * 65_536)
        return response

    async with Registry() as client:
        await client.tags(name)
        fake_registry.moods = [endless]
        with pytest.raises(Rejected, match="answers more than"):
            await client.digest_of(name, "r1")


@pytest.mark.parametrize(
    "body", ["", "[]", "{", '{"tags":[1]}', '{"tags":"r1"}', "<html>", "[" * 100_000]
)
async def test_tags_that_are_none(fake_registry: FakeRegistry, body: str) -> None:
    name = image(fake_registry)
    async with Registry() as client:
        await client.tags(name)
        fake_registry.moods = [says(200, body)]
        with pytest.raises(Rejected, match="cannot be read"):
            await client.tags(name)


async def test_tags_that_no_registry_takes_are_left_out(fake_registry: FakeRegistry) -> None:
    name = image(fake_registry)
    async with Registry() as client:
        await client.tags(name)
        fake_registry.moods = [says(200, '{"tags":["r1","../x","a\\nb",""]}')]
        assert await client.tags(name) == ("r1",)
        fake_registry.moods = [says(200, '{"tags":null}')]
        assert await client.tags(name) == ()


async def test_pages_of_tags(fake_registry: FakeRegistry) -> None:
    name = image(fake_registry)
    async with Registry() as client:
        await client.tags(name)
        fake_registry.moods = [
            says(200, '{"tags":["a"]}', Link='</v2/shop/tags/list?last=a&n=1>; rel="next"'),
            says(200, '{"tags":["b"]}', Link='</v2/shop/tags/list?n=1>; rel="first"'),
        ]
        assert await client.tags(name) == ("a", "b")
        assert fake_registry.paths[-1] == "GET /v2/shop/tags/list?last=a&n=1"
        several = '<list?n=9>; rel="prev", <list?n=2>; title="a, b"; Rel=next'
        fake_registry.moods = [says(200, '{"tags":["a"]}', Link=several), says(200, '{"tags":[]}')]
        assert await client.tags(name) == ("a",)
        assert fake_registry.paths[-1] == "GET /v2/shop/tags/list?n=2"
        # After the last page some name that one again.
        again = '</v2/shop/tags/list?n=1000>; rel="next"'
        fake_registry.moods = [says(200, '{"tags":[]}', Link=again)]
        assert await client.tags(name) == ()


@pytest.mark.parametrize(
    "pages",
    [
        [says(200, '{"tags":["a"]}', Link='</v2/other/tags/list>; rel="next"')],
        [says(200, '{"tags":["a"]}', Link='<http://[/>; rel="next"')],
        [says(200, '{"tags":["a"]}', Link='</v2/shop/tags/list?n=1000>; rel="next"')],
        [says(200, '{"tags":["a"]}', Link='<list?last=a>; rel="next"'), says(404)],
    ],
)
async def test_half_a_list_of_tags_is_not_taken_for_all(
    fake_registry: FakeRegistry, pages: list[Any]
) -> None:
    """The report that failed may be on the next page."""
    name = image(fake_registry)
    async with Registry() as client:
        await client.tags(name)
        fake_registry.moods = pages
        with pytest.raises(Rejected, match=r"its tags|list of tags"):
            await client.tags(name)


async def test_tags_without_end(
    fake_registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.release.registry.client.MAX_TAGS", 5)
    name = image(fake_registry)
    tags = json.dumps({"tags": ["a", "b"]})
    async with Registry() as client:
        await client.digest_of(name, "r1")
        fake_registry.moods = [
            says(200, tags, Link=f'</v2/shop/tags/list?n={page}>; rel="next"') for page in range(9)
        ]
        with pytest.raises(Rejected, match="more tags than 5"):
            await client.tags(name)
    assert len(fake_registry.moods) == 6


async def test_an_upload_that_was_cut_begins_anew(fake_registry: FakeRegistry) -> None:
    name = image(fake_registry)
    async with Registry() as client:
        await client.tags(name)
        spoiled = says(400, '{"errors":[{"code":"DIGEST_INVALID"}]}')
        # aiohttp itself asks once more where a connection that it held ends.
        for faults in ([cut, cut], [spoiled], [says(404)]):
            data = repr(faults).encode()
            begun = says(202, Location="/v2/shop/blobs/uploads/1")
            fake_registry.moods = [says(404), begun, *faults]
            digest = await client.put_blob(name, data)
            assert fake_registry.blobs[digest] == data
        # Where it lies already, nothing is sent.
        before = len(fake_registry.asked)
        assert await client.put_blob(name, data) == digest
        assert len(fake_registry.asked) == before + 1


async def test_an_upload_behind_a_proxy_stays_where_it_began(fake_registry: FakeRegistry) -> None:
    name = image(fake_registry)
    async with Registry() as client:
        await client.tags(name)
        there = says(202, Location="https://127.0.0.1/v2/shop/blobs/uploads/1?_state=x")
        fake_registry.moods = [says(404), there]
        digest = await client.put_blob(name, b"x")
    assert digest in fake_registry.blobs
    assert fake_registry.paths[-1].startswith("PUT /v2/shop/blobs/uploads/1?_state=x&digest=sha256")


async def test_an_upload_that_is_cut_each_time_is_given_up(fake_registry: FakeRegistry) -> None:
    name = image(fake_registry)
    async with Registry() as client:
        await client.tags(name)
        begun = says(202, Location="/v2/shop/blobs/uploads/1")
        fake_registry.moods = [says(404), *[begun, cut, cut] * 3]
        with pytest.raises(Unavailable, match="cut off 3 times"):
            await client.put_blob(name, b"x")


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.2:1/v2/shop/blobs/uploads/1",
        "//elsewhere/x",
        "http://[/x",
        "",
        # What is behind the host's name would be one itself where it is put together again.
        "http://127.0.0.1////127.0.0.2:1/x",
    ],
)
async def test_uploads_go_nowhere_else(fake_registry: FakeRegistry, target: str) -> None:
    name = image(fake_registry)
    async with Registry() as client:
        await client.tags(name)
        fake_registry.moods = [says(404), says(202, Location=target)]
        with pytest.raises(Rejected, match="wants uploads elsewhere"):
            await client.put_blob(name, b"x")


def access(folder: Path, config: Any) -> Access:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return Access(config_dir=folder)


def with_tokens(server: FakeRegistry, wanted: str) -> list[web.Request]:
    """Has it send us for tokens; gives the requests for these."""
    asked: list[web.Request] = []

    def gate(request: web.Request) -> web.Response | None:
        if request.path == "/token":
            asked.append(request)
            if request.headers.get("Authorization", "") == wanted:
                return web.json_response({"token": f"for-{request.query['scope']}"})
            return web.json_response({"details": "who?"}, status=401)
        given = request.headers.get("Authorization", "")
        if request.path == "/v2/" or given.startswith("Bearer for-repository:shop:pull"):
            return None
        challenge = f'Bearer realm="http://{server.address}/token",service="wharf",scope="all"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    server.gate = gate
    return asked


async def test_a_token_is_fetched_once_for_what_is_done(
    fake_registry: FakeRegistry, tmp_path: Path
) -> None:
    name = image(fake_registry)
    asked = with_tokens(fake_registry, basic("alice", "secret"))
    auth = base64.b64encode(b"alice:secret").decode()
    config = {"auths": {fake_registry.address: {"auth": auth}}}
    async with Registry(access(tmp_path, config)) as client:
        assert await client.digest_of(name, "r1") == DIGEST
        assert await client.tags(name) == ("r1",)
        await client.put_tag(name, DIGEST, "r2")
    # Not for all that the registry names, but for what we are about to do.
    scopes = [request.query["scope"] for request in asked]
    assert scopes == ["repository:shop:pull", "repository:shop:pull,push"]
    assert asked[0].query["service"] == "wharf"


async def test_a_token_without_a_password_is_asked_for_too(
    fake_registry: FakeRegistry, tmp_path: Path
) -> None:
    name = image(fake_registry)
    with_tokens(fake_registry, "")
    async with Registry(Access(config_dir=tmp_path)) as client:
        assert await client.digest_of(name, "r1") == DIGEST


async def test_a_token_that_has_ended_is_replaced(
    fake_registry: FakeRegistry, tmp_path: Path
) -> None:
    name = image(fake_registry)
    asked = with_tokens(fake_registry, "")
    async with Registry(Access(config_dir=tmp_path)) as client:
        await client.tags(name)
        challenge = f'Bearer realm="http://{fake_registry.address}/token"'
        fake_registry.moods = [says(401, WWW_Authenticate=challenge)]
        assert await client.tags(name) == ("r1",)
    assert len(asked) == 2


async def test_who_gives_tokens_does_not_want_us(
    fake_registry: FakeRegistry, tmp_path: Path
) -> None:
    name = image(fake_registry)
    with_tokens(fake_registry, basic("alice", "secret"))
    config = {"auths": {fake_registry.address: {"username": "mallory", "password": "gu-ess"}}}
    async with Registry(access(tmp_path, config)) as client:
        with pytest.raises(Rejected, match=r"refuses user 'mallory'.*docker login") as refused:
            await client.tags(name)
    assert "gu-ess" not in str(refused.value)


@pytest.mark.parametrize(
    "realm",
    [
        "ftp://127.0.0.1/",
        "//127.0.0.1/token",
        "",
        "http://u:p@127.0.0.1/",
        "file:///etc/passwd",
        "x",
        # The registry is on loopback, so without TLS; what it names is neither.
        "http://elsewhere.example/token",
        "https://elsewhere.example/token",
    ],
)
async def test_a_password_goes_to_no_odd_place(
    fake_registry: FakeRegistry, tmp_path: Path, realm: str
) -> None:
    name = image(fake_registry)
    config = {"auths": {fake_registry.address: {"username": "alice", "password": "secret"}}}
    async with Registry(access(tmp_path, config)) as client:
        challenge = says(401, WWW_Authenticate=f'Bearer realm="{realm}"')
        fake_registry.moods = [challenge]
        with pytest.raises(Rejected, match="for a token"):
            await client.tags(name)


async def test_who_gives_tokens_elsewhere_is_named_by_the_operator(
    fake_registry: FakeRegistry, tmp_path: Path
) -> None:
    name = image(fake_registry)
    (tmp_path / "config.json").write_text(
        json.dumps({"auths": {fake_registry.address: {"username": "alice", "password": "secret"}}})
    )
    challenge = says(401, WWW_Authenticate='Bearer realm="https://0.0.0.0:1/token"')
    for hosts, error in (((), Rejected), (("0.0.0.0",), Unavailable)):
        async with Registry(Access(config_dir=tmp_path, token_hosts=hosts)) as client:
            fake_registry.moods = [challenge] * 4
            with pytest.raises(error):
                await client.tags(name)
            fake_registry.moods = []


async def test_who_gives_tokens_has_too_much_to_do(
    fake_registry: FakeRegistry, tmp_path: Path
) -> None:
    name = image(fake_registry)
    asked = with_tokens(fake_registry, "")
    challenge = f'Bearer realm="http://{fake_registry.address}/token"'
    async with Registry(Access(config_dir=tmp_path)) as client:
        fake_registry.moods = [says(401, WWW_Authenticate=challenge), says(429)]
        assert await client.tags(name) == ("r1",)
    assert len(asked) == 1


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"token":1}', '{"token":"a\\nb"}'])
async def test_tokens_that_are_none(fake_registry: FakeRegistry, tmp_path: Path, body: str) -> None:
    name = image(fake_registry)
    challenge = f'Bearer realm="http://{fake_registry.address}/token"'
    async with Registry(Access(config_dir=tmp_path)) as client:
        fake_registry.moods = [says(401, WWW_Authenticate=challenge), says(200, body)]
        with pytest.raises(Rejected, match="gives no token"):
            await client.tags(name)


async def test_a_kept_token_of_identity_is_exchanged(
    fake_registry: FakeRegistry, tmp_path: Path
) -> None:
    name = image(fake_registry)
    forms: list[dict[str, Any]] = []

    async def token(request: web.Request) -> web.StreamResponse:
        forms.append(dict(await request.post()))
        return web.json_response({"access_token": "abc"})

    challenge = f'Bearer realm="http://{fake_registry.address}/token",service="wharf"'
    config = {"auths": {f"https://{fake_registry.address}/v1/": {"identitytoken": "kept"}}}
    async with Registry(access(tmp_path, config)) as client:
        fake_registry.moods = [says(401, WWW_Authenticate=challenge), token]
        assert await client.tags(name) == ("r1",)
    assert forms[0]["grant_type"] == "refresh_token"
    assert forms[0]["refresh_token"] == "kept"
    assert fake_registry.asked[-1][2] == "Bearer abc"


async def test_a_redirected_blob_is_fetched_without_saying_who_we_are(
    fake_registry: FakeRegistry, tmp_path: Path
) -> None:
    name = image(fake_registry)
    data = b"the blob"
    config = {"auths": {fake_registry.address: {"username": "alice", "password": "secret"}}}
    async with FakeRegistry() as store, Registry(access(tmp_path, config)) as client:
        store.moods = [says(200, data.decode())]
        fake_registry.moods = [
            says(401, WWW_Authenticate='Basic realm="x"'),
            says(307, Location=f"http://{store.address}/blob?signed=1"),
        ]
        assert await client.blob(name, digest_of(data), 100) == data
        assert fake_registry.asked[-1][2] == basic("alice", "secret")
        assert store.asked == [("GET", "/blob?signed=1", "")]


async def test_redirects_in_a_circle(fake_registry: FakeRegistry) -> None:
    name = image(fake_registry)
    async with Registry() as client:
        await client.tags(name)
        fake_registry.moods = [says(307, Location="/v2/x")] * 4
        with pytest.raises(Rejected, match="from one address to the next"):
            await client.tags(name)
        fake_registry.moods = [says(307)] * 4
        with pytest.raises(Rejected, match=r"from one address to the next|to no address"):
            await client.tags(name)


def helper(folder: Path, script: str) -> None:
    program = folder / "docker-credential-wharf"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


async def test_a_program_may_keep_the_secret(
    fake_registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = image(fake_registry)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    helper(
        tmp_path, """read host; echo "{\\"Username\\":\\"alice\\",\\"Secret\\":\\"of $host\\"}" """
    )
    challenge = says(401, WWW_Authenticate='Basic realm="x"')
    config = {"credsStore": "wharf", "auths": {fake_registry.address: {}}}
    async with Registry(access(tmp_path, config)) as client:
        fake_registry.moods = [challenge]
        assert await client.tags(name) == ("r1",)
    assert fake_registry.asked[-1][2] == basic("alice", f"of {fake_registry.address}")


async def test_a_program_that_knows_nothing_or_fails(
    fake_registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = image(fake_registry)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    config = {"credHelpers": {fake_registry.address: "wharf"}}
    for script, kind, words in (
        (
            "echo 'credentials not found in native keychain'; exit 1",
            Rejected,
            "lets in nobody without",
        ),
        ("echo s3cret; exit 2", ConfigError, "docker-credential-wharf fails"),
        ("echo '{\"s3cret\":1}'", ConfigError, "does not give what docker expects"),
    ):
        helper(tmp_path, script)
        async with Registry(access(tmp_path, config)) as client:
            fake_registry.moods = [says(401, WWW_Authenticate='Basic realm="x"')]
            with pytest.raises(kind, match=words) as error:
                await client.tags(name)
        assert "s3cret" not in str(error.value)
        fake_registry.moods = []


@pytest.mark.parametrize(
    ("scheme", "why"),
    [
        ('Basic realm="x"', "no password is kept"),
        ("Negotiate", "it asks for what is not spoken here"),
    ],
)
async def test_who_is_not_signed_in_is_told_so(
    fake_registry: FakeRegistry, tmp_path: Path, scheme: str, why: str
) -> None:
    name, address = image(fake_registry), fake_registry.address
    fake_registry.moods = [says(401, WWW_Authenticate=scheme)]
    async with Registry(access(tmp_path, {})) as client:
        with pytest.raises(Rejected) as refused:
            await client.tags(name)
    assert str(refused.value) == (
        f"registry {address} lets in nobody without a login: {why}: docker login {address}"
    )


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"auths": {"HOST": {"auth": "%%%"}}}, "cannot be read"),
        ({"auths": {"HOST": {"auth": "/////w=="}}}, "cannot be read"),
        ({"auths": ["s3cret"]}, "docker login anew"),
        ({"credsStore": "../../bin/sh"}, "no name of a credential helper"),
    ],
)
async def test_what_is_kept_cannot_be_read(
    fake_registry: FakeRegistry, tmp_path: Path, config: Any, words: str
) -> None:
    name = image(fake_registry)
    text = json.dumps(config).replace("HOST", fake_registry.address)
    async with Registry(access(tmp_path, json.loads(text))) as client:
        fake_registry.moods = [says(401, WWW_Authenticate='Basic realm="x"')]
        with pytest.raises(ConfigError, match=words) as error:
            await client.tags(name)
    assert "s3cret" not in str(error.value)


@pytest.fixture
async def tls_registry(tmp_path: Path) -> AsyncIterator[tuple[FakeRegistry, Access]]:
    """One that speaks TLS, and how it is reached by who knows its CA; alice is known to docker."""
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("registry", "127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.cert_file, pair.key_file)
    async with FakeRegistry(tls) as server:
        config = {"auths": {server.address: {"username": "alice", "password": "secret"}}}
        known = access(tmp_path / "docker", config)
        yield server, Access(ca_file=authority.ca_file, config_dir=known.config_dir)


async def test_over_tls_nothing_leads_to_where_there_is_none(
    tls_registry: tuple[FakeRegistry, Access], fake_registry: FakeRegistry
) -> None:
    server, reached = tls_registry
    name = image(server)
    async with Registry(reached) as client:
        assert await client.digest_of(name, "r1") == DIGEST
        server.moods = [says(307, Location=f"http://{fake_registry.address}/blob")]
        with pytest.raises(Rejected, match="where there is no TLS"):
            await client.blob(name, DIGEST, 100)
        realm = f'Bearer realm="http://{fake_registry.address}/token"'
        server.moods = [says(401, WWW_Authenticate=realm)]
        with pytest.raises(Rejected, match="for a token"):
            await client.tags(name)
    assert fake_registry.asked == []


async def test_a_certificate_that_nobody_vouches_for_is_not_asked_twice(
    tls_registry: tuple[FakeRegistry, Access],
) -> None:
    server, reached = tls_registry
    name = image(server)
    async with Registry(Access(config_dir=reached.config_dir)) as client:
        with pytest.raises(Unavailable, match="not to be trusted") as error:
            await client.tags(name)
    assert "tried" not in str(error.value)
    assert server.asked == []


async def test_without_tls_only_what_the_operator_names(
    fake_registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = image(fake_registry)
    monkeypatch.setattr(connection, "is_loopback", lambda _registry: False)
    async with Registry() as client:
        with pytest.raises(Unavailable, match="does not speak TLS as we do"):
            await client.tags(name)
    assert fake_registry.asked == []
    async with Registry(Access(insecure=(fake_registry.address,))) as client:
        assert await client.tags(name) == ("r1",)


async def test_a_ca_file_that_is_none_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for file in ("ca.pem", "none.pem"):
        async with Registry(Access(ca_file=tmp_path / file)) as client:
            with pytest.raises(ConfigError, match=r"deploy\.registry_ca_file"):
                await client.tags("127.0.0.1:1/shop")
