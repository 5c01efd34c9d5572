"""What etcd's users deny: told once, tried again after a while, forgotten when it is over."""

import pytest

from registrar.registry.denials import RETRY_SECONDS, Denials, service_of

DENIED = "/secret_prod/10.0.0.7-80"
BESIDE = "/wharfinger/instances/secret_prod/10.0.0.7-80"


@pytest.mark.parametrize(
    ("key", "service"),
    [
        (DENIED, "secret_prod"),
        (BESIDE, "secret_prod"),
        ("/wharfinger/hosts/box/registrar", ""),
        ("/", ""),
    ],
)
def test_a_key_names_its_service(key: str, service: str) -> None:
    assert service_of(key) == service


def test_a_denied_service_is_left_alone_for_a_while() -> None:
    denials = Denials()
    assert not denials.bars(DENIED, 0.0)
    assert denials.note("secret_prod", "permission denied", 0.0)
    assert not denials.note("secret_prod", "permission denied", 0.0)
    for key in (DENIED, BESIDE):
        assert denials.bars(key, RETRY_SECONDS - 1)
        assert not denials.bars(key, RETRY_SECONDS)
    assert not denials.bars("/shop_prod/10.0.0.7-80", 0.0)
    assert denials.describe() == "not registered: secret_prod: permission denied"


def test_what_nobody_asks_for_any_more_is_forgotten() -> None:
    denials = Denials()
    denials.note("secret_prod", "no", 0.0)
    assert denials.keep({"secret_prod", "shop_prod"}) == set()
    assert denials.keep(set()) == {"secret_prod"}
    assert denials.describe() == ""
    assert not denials.bars(DENIED, 0.0)
