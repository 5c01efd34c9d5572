"""What is shipped and with which fields; labels are hostile."""

import pytest

from logshipper.linesettings import LineSettings
from logshipper.route import route, through
from wharfinger.container import Container

ID = "ab" * 32


def test_every_json_file_container_is_shipped() -> None:
    decided = route(Container(ID, name="web", image="nginx:1", log_driver="json-file"), host="h1")
    assert decided.ship
    assert decided.fields == {
        "host": "h1",
        "container": ID,
        "container_name": "web",
        "image": "nginx:1",
    }


def test_app_and_env_come_from_labels_before_variables() -> None:
    container = Container(
        ID,
        labels={"wharfinger.app": "shop", "wharfinger.env": "prod"},
        env={"APP_NAME": "other", "ENVIRONMENT": "test"},
        log_driver="json-file",
    )
    fields = route(container, host="h1").fields
    assert (fields["app"], fields["env"]) == ("shop", "prod")


def test_a_label_leaves_it_out() -> None:
    decided = route(Container(ID, labels={"wharfinger.logs": " OFF "}), host="h1")
    assert not decided.ship
    assert "wharfinger.logs" in decided.reason


@pytest.mark.parametrize("driver", ["local", "journald", "syslog", "someone/plugin:1"])
def test_another_driver_is_read_through_dockers_api(driver: str) -> None:
    decided = route(Container(ID, log_driver=driver), host="h1")
    assert (decided.ship, decided.driver, decided.reason) == (True, driver, "")
    assert through(decided) == f"through Docker's API (driver {driver})"
    assert through(route(Container(ID, log_driver="json-file"), host="h1")) == ""


@pytest.mark.parametrize(
    ("driver", "options", "why"),
    [
        ("none", {}, "keeps nothing"),
        ("syslog", {"cache-disabled": "True"}, "cache-disabled keeps no copy"),
        ("x" * 2**20, {"cache-disabled": "1"}, "cache-disabled keeps no copy"),
    ],
)
def test_a_driver_of_which_docker_keeps_nothing_says_so(
    driver: str, options: dict[str, str], why: str
) -> None:
    decided = route(Container(ID, log_driver=driver, log_options=options), host="h1")
    assert not decided.ship
    assert why in decided.reason
    assert len(decided.reason) < 300


def test_what_has_a_copy_and_what_needs_none_is_read() -> None:
    for driver, options in (
        ("local", {"cache-disabled": "true"}),
        ("syslog", {"cache-disabled": "false"}),
        ("syslog", {"cache-disabled": "nonsense"}),
    ):
        assert route(Container(ID, log_driver=driver, log_options=options), host="h1").ship


def test_off_holds_for_every_driver() -> None:
    labels = {"wharfinger.logs": "off"}
    assert not route(Container(ID, labels=labels, log_driver="local"), host="h1").ship


def test_a_character_set_is_of_use_where_bytes_are_kept() -> None:
    labels = {"wharfinger.logs.charset": "gbk"}
    decided = route(Container(ID, labels=labels, log_driver="local"), host="h1")
    assert (decided.reason, decided.lines.charset) == ("", "gbk")
    assert (
        "of no use" in route(Container(ID, labels=labels, log_driver="json-file"), host="h").reason
    )


def test_a_hostile_app_costs_its_fields_and_never_its_lines() -> None:
    labels = {"wharfinger.app": "../x\n;", "wharfinger.env": "prod"}
    decided = route(Container(ID, labels=labels, log_driver="json-file"), host="h1")
    assert decided.ship
    assert "app" not in decided.fields
    assert "shipped without" in decided.reason


def test_a_label_of_a_megabyte_does_not_get_into_every_document() -> None:
    decided = route(Container(ID, image="x" * 2**20, log_driver="json-file"), host="h1")
    assert len(decided.fields["image"]) == 256


def test_a_value_that_is_neither_on_nor_off_is_told_and_ships() -> None:
    decided = route(Container(ID, labels={"wharfinger.logs": "maybe"}), host="h1")
    assert decided.ship
    assert "neither on nor off" in decided.reason


def test_labels_say_what_is_done_to_lines_over_the_operators_defaults() -> None:
    labels = {"wharfinger.logs.multiline": "java", "wharfinger.logs.fields": "team=pay"}
    defaults = LineSettings(parse="json", level="auto")
    decided = route(Container(ID, labels=labels), host="h1", lines=defaults)
    assert decided.lines == LineSettings(
        parse="json", level="auto", multiline="java", fields={"team": "pay"}
    )
    assert decided.fields["team"] == "pay"
    assert decided.reason == ""


def test_a_wrong_label_is_told_and_harms_nothing_else() -> None:
    labels = {"wharfinger.logs.parse": "yaml", "wharfinger.logs.sample": "0.5"}
    decided = route(Container(ID, labels=labels), host="h1", lines=LineSettings(parse="json"))
    assert decided.ship
    assert "wharfinger.logs.parse" in decided.reason
    assert (decided.lines.parse, decided.lines.sample) == ("json", 0.5)


def test_a_charset_for_a_log_that_has_none_is_told() -> None:
    labels = {"wharfinger.logs.charset": "gbk"}
    assert "UTF-8" in route(Container(ID, labels=labels), host="h1").reason
    labels["wharfinger.logs.files"] = "/var/log/*.log"
    assert route(Container(ID, labels=labels), host="h1").reason == ""


def test_a_thousand_wrong_labels_make_no_long_story() -> None:
    labels = {f"wharfinger.logs.x{n}": "y" for n in range(1000)}
    assert len(route(Container(ID, labels=labels), host="h1").reason) < 2000


def test_compose_and_swarm_say_where_it_comes_from() -> None:
    labels = {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "web",
        "com.docker.swarm.service.name": "shop_web",
    }
    fields = route(Container(ID, labels=labels), host="h1").fields
    assert fields["compose_project"] == "shop"
    assert fields["compose_service"] == "web"
    assert fields["swarm_service"] == "shop_web"


def test_labels_and_variables_that_were_chosen_are_carried_and_pass_for_nothing_else() -> None:
    container = Container(
        ID,
        labels={
            "com.example.team": "pay",
            "com.example.tier": "gold",
            "other": "x",
            "host": "evil",
        },
        env={"REGION": "eu", "PASSWORD": "secret"},
    )
    fields = route(
        container, host="h1", labels=("com.example.*", "host"), variables=("REGION",)
    ).fields
    assert fields["label_com_example_team"] == "pay"
    assert fields["label_com_example_tier"] == "gold"
    assert fields["label_host"] == "evil"
    assert fields["env_REGION"] == "eu"
    assert fields["host"] == "h1"
    assert "secret" not in fields.values()
    assert "label_other" not in fields
