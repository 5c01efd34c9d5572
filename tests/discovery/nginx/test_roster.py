"""What is worked out again when peers change, and what is not."""

from pathlib import Path

from discovery.builtin.config import NginxConfig
from discovery.model import Instance, Route, Service, Snapshot
from discovery.nginx.roster import Noted, Roster
from discovery.resources.render import Template, compile_template, render
from discovery.resources.resources import BUILTIN_TEMPLATE, Resource
from discovery.resources.views import View

NGINX = NginxConfig()
RESOURCE = Resource("nginx", BUILTIN_TEMPLATE, Path("/x.conf"), nginx=NGINX)


def snapshot(*instances: Instance) -> Snapshot:
    return Snapshot(1, (Service("a_b", "a", "b", instances, (Route("a.test", "/"),)),))


class Counted:
    """The built-in template, and how often it was rendered."""

    def __init__(self, template: Template) -> None:
        self.template, self.times = template, 0

    def render(self, view: View) -> str:
        self.times += 1
        return self.template.render(view)


def noted(roster: Roster, shown: Snapshot, *, push: bool = True) -> Noted:
    return roster.note(shown, push=push, socket=Path("/run/p.sock"), peers_by_reload=False)


def test_a_change_of_peers_renders_no_template() -> None:
    roster, template = Roster(), Counted(compile_template(BUILTIN_TEMPLATE))
    roster.configure(NGINX)
    contents = []
    for number in range(3):
        shown = snapshot(Instance("10.0.0.1", 80 + number))
        rendered = render(RESOURCE, template, shown, noted(roster, shown).site)
        contents.append(rendered.content)
        assert f"10.0.0.1:{80 + number}".encode() in rendered.content
    assert template.times == 1
    assert len(set(contents)) == 3
    tagged = snapshot(Instance("10.0.0.1", 80, tags=("balance=sticky",)))
    assert b"Set-Cookie" in render(RESOURCE, template, tagged, noted(roster, tagged).site).content
    assert template.times == 2


def test_a_plain_file_is_rendered_for_each_change() -> None:
    roster, template = Roster(), compile_template(BUILTIN_TEMPLATE)
    roster.configure(NGINX)
    for number in range(3):
        shown = snapshot(Instance("10.0.0.1", 80 + number))
        site = noted(roster, shown, push=False).site
        address = f"server 10.0.0.1:{80 + number};".encode()
        assert address in render(RESOURCE, template, shown, site).content


def structures(*snapshots: Snapshot) -> list[tuple[object, ...]]:
    roster = Roster()
    roster.configure(NGINX)
    return [noted(roster, shown).structure for shown in snapshots]


def test_the_last_instance_of_a_service_goes_without_another_file() -> None:
    before, empty, after = structures(
        snapshot(Instance("10.0.0.1", 80)), snapshot(), snapshot(Instance("10.0.0.2", 80))
    )
    assert before == empty == after


def test_who_has_an_instance_again_takes_back_what_two_claim() -> None:
    rival = Service("c_d", "c", "d", (Instance("10.0.0.9", 80),), (Route("a.test", "/"),))
    udp = Instance("10.0.0.1", 53, protocol="udp")

    def beside(*instances: Instance) -> Snapshot:
        return Snapshot(1, (*snapshot(*instances).services, rival))

    empty, other, first = structures(beside(), beside(udp), beside(udp, Instance("10.0.0.1", 80)))
    assert empty == other
    assert other != first
