"""The fleet page: what is wrong is seen at once, and everything is found by its address."""

import re
from urllib.parse import parse_qs

import pytest
from playwright.async_api import expect

from tests.page.browsing import Store, Visit
from tests.page.fleet import Fleet, FleetVisit
from tests.page.fleets import host, service, troubled

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]


async def test_a_calm_fleet_is_called_calm(tab: FleetVisit, fleet: Fleet) -> None:
    await tab.open("/fleet")
    await expect(tab.page.locator(".all-well")).to_have_text("Nothing is wrong.")
    await expect(tab.page.locator(".finding")).to_have_count(0)
    totals = tab.page.get_by_role("region", name="Totals").get_by_role("link")
    await expect(totals).to_have_text(
        ["2services", "6instances", "3hosts", "0unhealthy hosts", "0not up", "0drained"]
    )
    assert await tab.page.title() == "Fleet"


async def test_what_is_wrong_stands_first_and_leads_to_its_place(
    tab: FleetVisit, fleet: Fleet
) -> None:
    fleet.state = troubled()
    await tab.open("/fleet")
    titles = tab.page.locator(".finding h3")
    await expect(titles).to_have_text(
        [
            "2 services have no instance that is up",
            "2 daemons are unhealthy",
            "1 service has instances that are not up",
            "2 containers are not registered",
            "1 order failed",
            "The last release of 1 service did not succeed",
            "1 key in etcd is not understood and left out",
            "1 host is drained",
            "2 services have drained instances",
            "1 service has one instance only",
            "1 service is on one host alone",
            "1 service runs different versions",
            "1 host runs another version than most",
        ]
    )
    await expect(tab.page.locator(".finding.error").first).to_contain_text("search_prod 2 starting")
    await expect(tab.page.locator(".finding.error").last).to_contain_text(
        "registrar: etcd watch: nothing heard for 31 s"
    )
    assert await tab.page.title() == "(10) Fleet"
    await tab.page.get_by_role("link", name="box5").first.click()
    assert tab.query == "view=hosts&host=box5&open=box5"
    await expect(tab.rows).to_have_count(1)
    await expect(tab.rows).to_contain_text("spool: 91 % of its bytes are used")
    await tab.page.go_back()
    await tab.page.get_by_role("link", name="1 service runs different versions").click()
    await expect(tab.rows).to_have_count(1)
    await expect(tab.rows).to_contain_text(re.compile("shop.*1.4.2.*\u00d77.*1.4.3.*\u00d71"))
    await tab.page.get_by_role("link", name="3 not up").click()
    await expect(tab.rows).to_have_count(3)
    await expect(tab.page.get_by_role("list", name="Conditions")).to_contain_text("down")


async def test_services_are_found_by_words_and_fields(tab: FleetVisit, fleet: Fleet) -> None:
    fleet.state = troubled()
    await tab.open("/fleet?view=services")
    await expect(tab.status).to_have_text("7 services, 25 instances")
    await tab.words("box5 -pay")
    await expect(tab.rows).to_have_count(1)
    await expect(tab.rows).to_contain_text("2 match")
    assert parse_qs(tab.query)["q"] == ["box5 -pay"]
    await tab.words("")
    for name, value, found in (
        ("App", "shop", "2 services, 11 instances"),
        ("Env", "prod", "1 service, 9 instances"),
        ("Host", "box1", "1 service, 3 instances"),
        ("State", "up", "1 service, 3 instances"),
        ("Trouble", "versions differ", "1 service, 3 instances"),
    ):
        await tab.page.get_by_role("button", name=re.compile(f"^{name}")).click()
        await tab.page.get_by_role("dialog").get_by_label(re.compile(f"^{value}")).check()
        await tab.page.keyboard.press("Escape")
        await expect(tab.status).to_have_text(found)
    assert parse_qs(tab.query) == {
        "view": ["services"], "app": ["shop"], "env": ["prod"], "host": ["box1"], "state": ["up"],
        "risk": ["versions"],
    }  # fmt: skip
    await tab.page.reload()
    await expect(tab.status).to_have_text("1 service, 3 instances")
    await tab.button("Remove host box1").click()
    await expect(tab.status).to_have_text("1 service, 8 instances")
    await tab.button("Clear all").click()
    await expect(tab.status).to_have_text("7 services, 25 instances")
    await tab.words("no such thing")
    await expect(tab.page.get_by_role("heading", name="No services match")).to_be_visible()
    await tab.button("Clear the conditions").click()
    await expect(tab.rows).to_have_count(7)


async def test_an_instance_shows_all_that_is_known_of_it(tab: FleetVisit, fleet: Fleet) -> None:
    fleet.state = troubled()
    await tab.open("/fleet?view=services&app=pay.api&app=legacy&app=shop&env=prod")
    await tab.button("Instances of pay.api_prod").click()
    assert parse_qs(tab.query)["open"] == ["pay.api_prod"]
    one = tab.row("10.0.0.1:20222")
    for text in (
        "up",
        "box1",
        "pay.api-20222",
        "1.4.2",
        "weight 10",
        "blue",
        "pay.example.com/api",
    ):
        await expect(one).to_contain_text(text)
    await expect(one.locator("time")).to_have_attribute("title", re.compile("^Since 2"))
    await tab.button("Instances of legacy_prod").click()
    await expect(tab.row("10.0.0.6:20077")).to_contain_text("drained")
    shop = tab.rows.filter(has=tab.button("Instances of shop_prod"))
    await expect(shop).to_contain_text(re.compile("8 up.*1 drained.*box1 \u00d73.*r12 running"))
    await tab.button("Open all").click()
    await expect(tab.rows).to_have_count(3 + 6 + 1 + 9)
    await tab.button("Instances of shop_prod").click()
    await expect(tab.rows).to_have_count(3 + 6 + 1)
    await tab.page.reload()
    await expect(tab.rows).to_have_count(3 + 6 + 1)
    await tab.button("Close all").click()
    await expect(tab.rows).to_have_count(3)


async def test_services_in_an_order(tab: FleetVisit, fleet: Fleet) -> None:
    fleet.state = troubled()
    await tab.open("/fleet?view=services")
    names = tab.page.locator(".service .c-name")
    by_name = ["cart prod", "legacy prod", "mail prod", "pay.api prod", "search prod",
               "shop prod", "shop stage"]  # fmt: skip
    await expect(names).to_have_text(by_name)
    sort = tab.page.get_by_label("Sort")
    await sort.select_option("Worst first")
    await expect(names.first).to_have_text("legacy prod")
    await sort.select_option("Most instances")
    await expect(names.first).to_have_text("shop prod")
    await sort.select_option("Newest first")
    await expect(names.first).to_have_text("shop prod")
    assert parse_qs(tab.query)["sort"] == ["changed"]


async def test_hosts_tell_of_their_daemons(tab: FleetVisit, fleet: Fleet) -> None:
    fleet.state = troubled()
    fleet.state["hosts"]["box1"]["daemons"]["discovery"]["applied_revision"] = 1_150
    del fleet.state["hosts"]["box4"]
    await tab.open("/fleet?view=hosts")
    first = tab.rows.first
    # Worst first: nobody says anything for box4, and it has instances.
    await expect(first).to_contain_text(re.compile("box4.*5 instances.*no registrar"))
    # What is wrong is seen before anything is opened.
    await expect(tab.row("box2")).to_contain_text("registrar: etcd watch: nothing heard for 31 s")
    await tab.button("Details of box1").click()
    table = tab.row("box1").get_by_role("table")
    await expect(table).to_contain_text(re.compile("discovery.*healthy.*1.2.0.*1150.*50 behind"))
    await tab.button("Details of box3").click()
    await expect(tab.row("box3")).to_contain_text(re.compile("batch-7 its check fails: HTTP 503"))
    await tab.button("Details of box6").click()
    await expect(tab.row("box6")).to_contain_text(re.compile("Drained.*shop_prod 10.0.0.6:20031"))
    await tab.words("spool box5")
    await expect(tab.rows).to_have_count(1)
    await expect(tab.rows).to_contain_text("other version")
    await tab.page.get_by_role("link", name="4 instances").click()
    await expect(tab.status).to_have_text("2 services, 4 instances")


async def test_releases_of_each_service(tab: FleetVisit, fleet: Fleet) -> None:
    await tab.open("/fleet?view=releases")
    await expect(tab.page.get_by_role("heading", name="No releases")).to_be_visible()
    fleet.change(releases=troubled()["releases"])
    await expect(tab.rows).to_have_count(2)
    await expect(tab.rows.first).to_contain_text(re.compile("shop.*running.*r12.*by ann"))
    await expect(tab.row("mail")).to_contain_text("2 of 3 checks failed after 60 s")
    await tab.button("Releases of mail_prod").click()
    await expect(tab.row("mail").get_by_role("listitem")).to_have_count(2)
    taken = tab.row("mail").get_by_role("listitem").last
    await expect(taken).to_contain_text(re.compile("succeeded.*down of r3"))
    await tab.words("r11")
    await expect(tab.rows).to_have_count(1)


async def test_one_click_to_the_logs(tab: FleetVisit, fleet: Fleet) -> None:
    fleet.state = troubled()
    await tab.open("/fleet?view=services&app=mail&open=mail_prod")
    [held] = fleet.state["services"]["mail_prod"]["instances"].values()
    links = {
        "Logs of mail_prod": "/?app=mail&env=prod",
        f"Logs of 10.0.0.3:{held['key'][-5:]} of mail_prod": (
            f"/?app=mail&env=prod&container={held['container']}"
        ),
    }
    for name, address in links.items():
        link = tab.page.get_by_role("link", name=name)
        await expect(link).to_have_attribute("href", address)
    await tab.open("/fleet?view=hosts")
    link = tab.page.get_by_role("link", name="Logs of box2")
    await expect(link).to_have_attribute("href", "/?host=box2")


async def test_the_log_page_leads_back_only_where_there_is_a_fleet(
    visit: Visit, store: Store
) -> None:
    await store.say("line", app="back", env="prod", host="h1")
    await visit.open("/?app=back&host=h1")
    await expect(visit.page.get_by_role("link", name="Fleet")).to_have_count(0)
    await visit.page.route(
        "**/api/whoami",
        lambda route: route.fulfill(json={"tenant": "default", "name": "anyone", "fleet": True}),
    )
    await visit.page.reload()
    link = visit.page.get_by_role("link", name="Fleet")
    await expect(link).to_have_attribute("href", "/fleet?view=services&app=back&host=h1")


async def test_a_service_of_one_instance_or_one_host_is_warned_of(
    tab: FleetVisit, fleet: Fleet
) -> None:
    fleet.state["services"] = {
        "one_prod": service("one", "prod", {"box1": 1}),
        "two_prod": service("two", "prod", {"box1": 2}),
        "good_prod": service("good", "prod", {"box1": 1, "box2": 1}),
    }
    fleet.state["hosts"] = {"box1": host(1), "box2": host(2)}
    await tab.open("/fleet?view=services&sort=risk")
    risks = tab.page.locator(".service .c-risks")
    await expect(risks).to_have_text(["one instance", "one host", ""])
