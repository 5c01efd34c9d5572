"""`wharfinger services`: what stands in etcd, true, half there and hostile."""

import json

import pytest

from tests.stack.etcd import config_of
from wharfinger.errors import Exit, Unavailable
from wharfinger.etcd import Etcd
from wharfinger.kv import KeyValue
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import free_port
from wharfinger.operator.services import Chosen, Entry, entries, services
from wharfinger.sections import EtcdConfig

ADDRESS, METADATA = "/shop_prod/10.0.0.5-20000", "/wharfinger/instances/shop_prod/10.0.0.5-20000"
DESCRIBED = b'{"id":"c0ffee","name":"shop-1","image":"shop:3","host":"h1","state":"up","new":[1]}'


def read(**values: bytes) -> list[Entry]:
    keys = {"address": ADDRESS, "metadata": METADATA}
    items = {keys.get(key, key): value for key, value in values.items()}
    return entries({k: KeyValue(k, v, 1, 1, 1, 255) for k, v in items.items()})


def test_an_instance_with_its_metadata() -> None:
    assert read(address=b"10.0.0.5:20000", metadata=DESCRIBED) == [
        Entry(
            service="shop_prod",
            endpoint="10.0.0.5:20000",
            host="h1",
            container="shop-1",
            container_id="c0ffee",
            image="shop:3",
            state="up",
            lease="ff",
        )
    ]


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({"address": b"10.0.0.5:20000"}, "by hand: no registrar describes it"),
        ({"metadata": DESCRIBED}, "its key is missing: nobody is sent there"),
        ({"address": b"1.2.3.4:80; }\x1b[2J"}, r"refused: its value is '1.2.3.4:80; }\x1b[2J'"),
        ({"address": b"10.0.0.5:20000", "metadata": b"{" * 100}, "its metadata cannot be read"),
        ({"address": b"10.0.0.5:20000", "metadata": b'{"name":7}'}, "its metadata cannot be read"),
        ({"address": b"10.0.0.5:20000", "metadata": b"[" * 20_000}, "its metadata cannot be read"),
    ],
)
def test_what_is_wrong_stands_in_its_state(values: dict[str, bytes], state: str) -> None:
    (entry,) = read(**values)
    assert entry.state.startswith(state)
    assert (entry.service, entry.endpoint) == ("shop_prod", "10.0.0.5:20000")


def test_a_stranger_among_instances_is_told_and_the_users_own_keys_are_not() -> None:
    strange = {"/shop_prod/x\ny": b"", "/myapp/database/url": b"pg", "/flag": b"1"}
    instance, stranger = read(address=b"10.0.0.5:20000", **strange)
    assert instance.endpoint == "10.0.0.5:20000"
    assert (stranger.service, stranger.endpoint) == ("shop_prod", "x\ny")
    assert stranger.state.startswith("refused")


@pytest.mark.real
async def test_from_a_real_etcd(
    etcd_server: EtcdServer, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(etcd_server)
    async with Etcd(config) as client:
        await client.put(ADDRESS, b"10.0.0.5:20000")
        await client.put(METADATA, DESCRIBED)
        await client.put("/shop_prod/\x1b]0;x\x07", b"")
        await client.put("/wharfinger/hosts/h1/registrar", b"{}")
        assert await services(config, as_json=False) is Exit.OK
        _, row, stranger = capsys.readouterr().out.splitlines()
        assert row.split() == ["shop_prod", "10.0.0.5:20000", "h1", "shop-1", "shop:3", "up"]
        assert stranger.split()[:2] == ["shop_prod", r"\u001b]0;x\u0007"]
        await client.put(METADATA, DESCRIBED.replace(b"shop-1", b"\\u001b]0;x\\u0007"))
        assert await services(config, as_json=False) is Exit.OK
        # As discovery sees it: refused whole.
        assert "name has characters that cannot be printed" in capsys.readouterr().out
        await client.put(METADATA, DESCRIBED)
        for chosen in (Chosen(host="h1"), Chosen(app="shop"), Chosen("h1", "shop")):
            await services(config, chosen, as_json=False)
            assert "shop-1" in capsys.readouterr().out
        for chosen in (Chosen(host="h2"), Chosen(app="shop_prod"), Chosen("h1", "cart")):
            await services(config, chosen, as_json=False)
            assert capsys.readouterr().out.startswith("nothing of that is registered")
        await services(config, as_json=True)
        page = json.loads(capsys.readouterr().out)
        assert page["instances"][0]["container_id"] == "c0ffee"
        assert page["revision"] > 1
        await client.delete_prefix("/")
    assert await services(config, as_json=False) is Exit.OK
    assert "nothing is registered" in capsys.readouterr().out


async def test_without_etcd_it_says_which_endpoint() -> None:
    endpoint = f"127.0.0.1:{free_port()}"
    with pytest.raises(Unavailable, match=endpoint):
        await services(EtcdConfig(endpoints=(endpoint,)), as_json=False)
