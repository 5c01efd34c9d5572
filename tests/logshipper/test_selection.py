"""Which containers a sink takes, by its patterns and by their label."""

import pytest

from logshipper.model import Route
from logshipper.selection import SINKS_LABEL, selected
from logshipper.sinkconfig import FileConfig

FIELDS = {"app": "shop", "env": "prod", "container_name": "web-1", "image": "reg.example/shop:1"}
SHIPPED = Route(ship=True, fields=FIELDS)
KNOWN = ("main", "audit")


@pytest.mark.parametrize(
    ("settings", "labels", "taken"),
    [
        ({}, {}, True),
        ({"apps": ("shop",)}, {}, True),
        ({"apps": ("pay", "sh*")}, {}, True),
        ({"apps": ("pay",)}, {}, False),
        ({"apps": ("!shop",)}, {}, False),
        ({"apps": ("!pay",)}, {}, True),
        ({"apps": ("*", "!sh*")}, {}, False),
        ({"apps": ("SHOP",)}, {}, False),
        ({"envs": ("prod",)}, {}, True),
        ({"envs": ("dev",), "apps": ("shop",)}, {}, False),
        ({"labels": ("team",)}, {}, False),
        ({"labels": ("team",)}, {"team": ""}, True),
        ({"labels": ("team=pay*",)}, {"team": "payments"}, True),
        ({"labels": ("team=pay*",)}, {"team": "shop"}, False),
        ({"labels": ("!team=pay*",)}, {"team": "payments"}, False),
        ({"labels": ("!team=pay*",)}, {}, True),
        ({"names": ("web-*",)}, {}, True),
        ({"names": ("!web-*",)}, {}, False),
        ({"names": ("web",)}, {}, False),
        ({"images": ("*/shop:*",)}, {}, True),
        ({"images": ("!*/shop:*",)}, {}, False),
        ({"images": ("shop:*",)}, {}, False),
        ({"variables": ("TIER=go*",)}, {}, True),
        ({"variables": ("TIER=go*",), "names": ("db",)}, {}, False),
        ({"variables": ("TIER",)}, {}, True),
        ({"variables": ("DEBUG",)}, {}, False),
        ({"variables": ("!TIER=gold",)}, {}, False),
        ({"variables": ("!TIER=silver",)}, {}, True),
        ({}, {SINKS_LABEL: "main"}, True),
        ({}, {SINKS_LABEL: "audit , main"}, True),
        ({}, {SINKS_LABEL: "audit"}, False),
        ({}, {SINKS_LABEL: ""}, True),
        ({"apps": ("pay",)}, {SINKS_LABEL: "main"}, False),
    ],
)
def test_patterns_and_label(
    settings: dict[str, tuple[str, ...]], labels: dict[str, str], taken: bool
) -> None:
    sink = FileConfig(**settings)  # type: ignore[arg-type]
    found = selected(sink, SHIPPED, labels, KNOWN, variables={"TIER": "gold"})
    assert found.ship is taken
    assert bool(found.reason) is not taken


def test_a_label_that_names_no_sink_is_reported_and_ignored() -> None:
    found = selected(FileConfig(), SHIPPED, {SINKS_LABEL: "adit"}, KNOWN)
    assert found.ship
    assert found.reason == f"label {SINKS_LABEL} names no sink of ours: adit"
    found = selected(FileConfig(), SHIPPED, {SINKS_LABEL: "adit,audit"}, KNOWN)
    assert not found.ship


def test_what_nobody_ships_stays_left_out() -> None:
    off = Route(ship=False, reason="label wharfinger.logs=off")
    assert selected(FileConfig(), off, {SINKS_LABEL: "main"}, KNOWN) is off
