"""Draining from the fleet page: said before what it does, followed step by step."""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, expect

from tests.page.fleet import Fleet, FleetVisit
from tests.page.fleets import ago, drain, instance, service

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]


async def may(tab: FleetVisit, fleet: Fleet, path: str) -> None:
    fleet.state["may_drain"] = True
    await tab.open(path)


def question(tab: FleetVisit) -> Locator:
    return tab.page.get_by_role("alertdialog")


def first(fleet: Fleet, key: str) -> tuple[str, dict[str, Any]]:
    endpoint, one = next(iter(fleet.state["services"][key]["instances"].items()))
    return endpoint, one


def goes_on(fleet: Fleet, state: str, *steps: str, order: str = "o1") -> None:
    fleet.change(orders={order: {**fleet.state["orders"][order], "state": state, "steps": steps}})


async def test_who_may_not_drain_sees_no_way_to(tab: FleetVisit, fleet: Fleet) -> None:
    await tab.open("/fleet?view=services&open=*")
    await expect(tab.rows).to_have_count(2 + 6)
    await expect(tab.page.get_by_role("button", name=re.compile("Drain"))).to_have_count(0)
    await tab.page.keyboard.press("j")
    await tab.page.keyboard.press("j")
    await tab.page.keyboard.press("d")
    await expect(question(tab)).to_have_count(0)
    await tab.page.keyboard.press("3")
    await expect(tab.rows).to_have_count(3)
    await expect(tab.page.get_by_role("button", name=re.compile("^Drain"))).to_have_count(0)


async def test_an_instance_is_drained_step_by_step(tab: FleetVisit, fleet: Fleet) -> None:
    await may(tab, fleet, "/fleet?view=services&open=shop_prod")
    endpoint, one = first(fleet, "shop_prod")
    button = tab.button(f"Drain {endpoint} of shop_prod")
    await button.click()
    dialog = question(tab)
    await expect(dialog).to_have_accessible_name(f"Drain {endpoint}?")
    await expect(dialog.get_by_role("row").last).to_have_text("shop_prod13 on 2 hosts")
    # Whoever presses Enter by mistake has drained nothing.
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    await tab.page.keyboard.press("Enter")
    await expect(dialog).to_have_count(0)
    await expect(button).to_be_focused()
    assert fleet.posted == []
    await button.click()
    await dialog.get_by_role("button", name="Drain").click()
    progress = tab.page.get_by_role("dialog", name=f"Drain {endpoint} of shop_prod")
    await expect(progress.get_by_role("status")).to_contain_text("has not taken it up yet")
    assert fleet.posted == [{"verb": "drain", "instance": one["key"]}]
    assert "order=o1" in tab.query
    goes_on(fleet, "running", "removed")
    goes_on(fleet, "running", "removed", "waiting for discovery on box2")
    steps = progress.get_by_role("list", name="Steps").get_by_role("listitem")
    await expect(steps).to_have_text(["removed", "waiting for discovery on box2"])
    await expect(steps.last.locator(".spinner")).to_be_visible()
    # Closed, it goes on, and says so when it is over.
    await tab.page.keyboard.press("Escape")
    await expect(progress).to_have_count(0)
    await expect(tab.button("1 order under way")).to_be_visible()
    gone = drain("shop_prod", endpoint, one["name"])
    fleet.change(
        services={"shop_prod": {"instances": {endpoint: None}}},
        hosts={"box1": {**fleet.state["hosts"]["box1"], "drains": [gone]}},
    )
    goes_on(fleet, "done", "removed", "confirmed by every discovery")
    said = tab.page.locator(".said")
    await expect(said).to_have_text(f"drain {endpoint} of shop_prod: done")
    await expect(tab.row(endpoint)).to_contain_text("drained")
    # And back again.
    await tab.button(f"Undrain {endpoint} of shop_prod").click()
    await expect(question(tab)).to_contain_text("with the same port and key")
    await question(tab).get_by_role("button", name="Undrain").click()
    await expect(tab.page.get_by_role("dialog", name=f"Undrain {endpoint}")).to_be_visible()
    assert fleet.posted[-1] == {"verb": "undrain", "instance": one["key"]}


async def test_the_last_instance_takes_a_second_yes(tab: FleetVisit, fleet: Fleet) -> None:
    fleet.state["services"] = {"solo_prod": service("solo", "prod", {"box1": 1})}
    await may(tab, fleet, "/fleet?view=services&open=*")
    endpoint, _ = first(fleet, "solo_prod")
    await tab.button(f"Drain {endpoint} of solo_prod").click()
    dialog = question(tab)
    await expect(dialog.get_by_role("note")).to_have_text(
        "solo_prod will have no instance that is up: nobody will answer for it."
    )
    sends = dialog.get_by_role("button", name="Drain")
    await expect(sends).to_be_disabled()
    await dialog.get_by_role("checkbox").check()
    await sends.click()
    await expect(dialog).to_have_count(0)
    assert len(fleet.posted) == 1


async def test_a_yes_ends_when_it_would_do_more_than_was_said(
    tab: FleetVisit, fleet: Fleet
) -> None:
    fleet.state["services"] = {
        "solo_prod": service("solo", "prod", {"box1": 1}),
        "pair_prod": service("pair", "prod", {"box1": 1, "box2": 1}),
        "away_prod": service("away", "prod", {"box3": 2}),
    }
    await may(tab, fleet, "/fleet?view=hosts")
    await tab.button("Drain box1").click()
    dialog = question(tab)
    await expect(dialog.get_by_role("row")).to_have_text(
        ["ServiceTaken outStay up", "solo_prod1none", "pair_prod11 on 1 host"]
    )
    sends = dialog.get_by_role("button", name="Drain")
    await dialog.get_by_role("checkbox").check()
    await expect(sends).to_be_enabled()
    # Meanwhile the other instance goes by itself.
    [other] = [e for e in fleet.state["services"]["pair_prod"]["instances"] if "0.2:" in e]
    fleet.change(services={"pair_prod": {"instances": {other: None}}})
    await expect(dialog.get_by_role("note")).to_contain_text("2 services will have no instance")
    await expect(sends).to_be_disabled()
    await expect(dialog.get_by_role("checkbox")).not_to_be_checked()
    await dialog.get_by_role("checkbox").check()
    await sends.click()
    await expect(dialog).to_have_count(0)
    assert fleet.posted == [{"verb": "drain", "host": "box1"}]


async def test_a_host_is_let_back_in(tab: FleetVisit, fleet: Fleet) -> None:
    fleet.state["hosts"]["box3"] |= {
        "drained": True,
        "drains": [drain("shop_prod", f"10.0.0.3:2{n:04d}", "shop") for n in range(2)],
    }
    await may(tab, fleet, "/fleet?view=hosts")
    await tab.button("Undrain box3").click()
    await expect(question(tab)).to_contain_text("box3 takes part again: 2 instances come back")
    await question(tab).get_by_role("button", name="Undrain").click()
    await expect(tab.page.get_by_role("dialog", name="Undrain box3")).to_be_visible()
    assert fleet.posted == [{"verb": "undrain", "host": "box3"}]


@pytest.mark.parametrize("status", [401, 403, 404, 409, 503])
async def test_a_refusal_is_shown_where_it_was_asked(
    tab: FleetVisit, fleet: Fleet, status: int
) -> None:
    tab.allowed.append(str(status))
    await may(tab, fleet, "/fleet?view=hosts")
    fleet.order_refusal = (status, "no registrar of host box2 <b>tells</b> of itself")
    await tab.button("Drain box2").click()
    await question(tab).get_by_role("checkbox").or_(question(tab).locator("form")).first.wait_for()
    await question(tab).get_by_role("button", name="Drain").click()
    await expect(question(tab).get_by_role("alert")).to_contain_text(
        "no registrar of host box2 <b>tells</b> of itself"
    )
    fleet.order_refusal = None
    await question(tab).get_by_role("button", name="Drain").click()
    await expect(question(tab)).to_have_count(0)
    assert len(fleet.posted) == 1


async def test_nothing_is_drained_on_old_figures(tab: FleetVisit, fleet: Fleet) -> None:
    await may(tab, fleet, "/fleet?view=hosts")
    await tab.button("Drain box2").click()
    sends = question(tab).get_by_role("button", name="Drain")
    await expect(sends).to_be_enabled()
    fleet.tell("change", {"stale": "etcd: nothing heard for 12 s"})
    await expect(sends).to_be_disabled()
    await expect(question(tab).get_by_role("alert")).to_contain_text("is not live")
    fleet.tell("change", {"stale": None})
    await expect(sends).to_be_enabled()


@pytest.mark.parametrize(
    ("state", "says"),
    [("failed", "It failed"), ("lapsed", "No registrar took it up in time: nothing was done")],
)
async def test_an_order_that_comes_to_nothing(
    tab: FleetVisit, fleet: Fleet, state: str, says: str
) -> None:
    fleet.state["orders"] = {
        "x1": {"verb": "drain", "target": "box2", "host": "box2", "state": state,
               "steps": ["removed 2 keys", "discovery on box1 lags"], "by": "ann", "at": ago(60)},
    }  # fmt: skip
    await may(tab, fleet, "/fleet?order=x1")
    dialog = tab.page.get_by_role("dialog", name="Drain box2")
    await expect(dialog.get_by_role("status")).to_have_text(f"{state} {says}")
    await expect(dialog.locator(".steps .failed")).to_have_text("discovery on box1 lags")
    await dialog.get_by_role("button", name="Close", exact=True).last.click()
    await expect(tab.page.locator(".finding.warn")).to_contain_text("1 order failed")
    await tab.page.get_by_role("link", name="drain box2").click()
    await expect(dialog).to_be_visible()


async def test_the_keyboard_alone_drains(tab: FleetVisit, fleet: Fleet) -> None:
    await may(tab, fleet, "/fleet?view=services")
    press = tab.page.keyboard.press
    # Both before anything is painted anew, as from somebody who knows the page.
    await tab.page.evaluate(
        "for (const key of ['j', 'Enter']) document.body.dispatchEvent("
        "new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }))"
    )
    await expect(tab.rows).to_have_count(2 + 2)
    await press("j")
    await expect(tab.page.locator(".entry.selected")).to_be_focused()
    await press("d")
    dialog = question(tab)
    await expect(dialog).to_be_visible()
    await press("Tab")
    await expect(dialog.get_by_role("button", name="Drain")).to_be_focused()
    await press("Enter")
    await expect(tab.page.get_by_role("dialog", name=re.compile("^Drain"))).to_be_visible()
    assert len(fleet.posted) == 1
    await press("Escape")
    await expect(tab.page.get_by_role("dialog")).to_have_count(0)


async def test_to_sign_in_again_may_let_one_drain(tab: FleetVisit, fleet: Fleet) -> None:
    await tab.open("/fleet?view=hosts")
    key = tab.button("Sign in with a token that may drain")
    await key.click()
    await expect(tab.page.get_by_text("You see the fleet already")).to_be_visible()
    await tab.button("Cancel").click()
    fleet.token, fleet.state["may_drain"] = "a" * 40, True
    await key.click()
    await tab.page.get_by_label("Token").fill(fleet.token)
    await tab.button("Sign in").click()
    await expect(tab.button("Drain box1")).to_be_visible()
    await expect(key).to_have_count(0)


async def test_an_instance_without_a_key_cannot_be_drained(tab: FleetVisit, fleet: Fleet) -> None:
    odd = instance("shop_prod", "10.0.0.9:1", "box9", key="")
    fleet.state["services"]["shop_prod"]["instances"]["10.0.0.9:1"] = odd
    await may(tab, fleet, "/fleet?view=services&open=shop_prod")
    await expect(tab.row("10.0.0.9:1").get_by_role("link", name="Logs")).to_have_count(1)
    await expect(tab.row("10.0.0.9:1").get_by_role("button")).to_have_count(0)
