"""Who a container says it is, in every spelling, and what is refused."""

import pytest

from wharfinger.errors import Rejected
from wharfinger.identity import identify
from wharfinger.keys import Service


@pytest.mark.parametrize(
    ("labels", "env", "service"),
    [
        ({"wharfinger.app": "shop", "wharfinger.env": "prod"}, {}, Service("shop", "prod")),
        ({}, {"APP_NAME": "shop", "ENVIRONMENT": "prod"}, Service("shop", "prod")),
        (
            {"wharfinger.app": "label", "wharfinger.env": "one"},
            {"APP_NAME": "variable", "ENVIRONMENT": "two"},
            Service("label", "one"),
        ),
        ({"wharfinger.app": "shop"}, {"ENVIRONMENT": "prod"}, Service("shop", "prod")),
        ({}, {"SERVICE_NAME": "shop", "SERVICE_ENV": "qa"}, Service("shop", "qa")),
        ({"SERVICE_NAME": "shop"}, {"ENVIRONMENT": "qa"}, Service("shop", "qa")),
        ({"wharfinger.app": ""}, {"APP_NAME": "shop", "ENVIRONMENT": "qa"}, Service("shop", "qa")),
    ],
)
def test_the_first_that_is_given_counts(
    labels: dict[str, str], env: dict[str, str], service: Service
) -> None:
    assert identify(labels, env) == service


@pytest.mark.parametrize(
    ("labels", "env"),
    [({}, {}), ({}, {"ENVIRONMENT": "prod"}), ({"APP_NAME": "shop"}, {}), ({"app": "shop"}, {})],
)
def test_who_names_no_app_is_none_of_ours(labels: dict[str, str], env: dict[str, str]) -> None:
    assert identify(labels, env) is None


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({"wharfinger.app": "shop"}, "no environment: set the label wharfinger.env"),
        ({"wharfinger.env": "prod"}, "no app: set the label wharfinger.app"),
    ],
)
def test_half_a_name_is_refused_with_the_missing_half(labels: dict[str, str], why: str) -> None:
    with pytest.raises(Rejected, match=why):
        identify(labels, {})


@pytest.mark.parametrize(
    "app",
    ["a/b", "a\nb", "shop;", "shop\n", "../etc", "x" * 5_000, "\u0455hop", "$(id)", "a b", ".."],
)
def test_hostile_names_are_refused(app: str) -> None:
    with pytest.raises(Rejected):
        identify({"wharfinger.app": app, "wharfinger.env": "prod"}, {})
    with pytest.raises(Rejected):
        identify({}, {"APP_NAME": "shop", "ENVIRONMENT": f"{app}_"})
