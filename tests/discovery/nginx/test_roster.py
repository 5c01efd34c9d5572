"""What is worked out again when peers change, and what is not."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

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


services = st.dictionaries(
    st.sampled_from(["a_b", "c_d", "e_f", "g_h"]),
    st.tuples(
        st.lists(st.sampled_from([80, 81, 82]), max_size=2, unique=True),
        st.sampled_from([(), ("balance=sticky",), ("grpc",)]),
        st.sampled_from([(), (Route("a.test", "/"),), (Route("b.test", "/"),)]),
    ),
)


@given(st.lists(services, max_size=8))
def test_what_is_noted_is_what_a_roster_without_a_past_notes(
    shown: list[dict[str, tuple[list[int], tuple[str, ...], tuple[Route, ...]]]],
) -> None:
    roster, objects = Roster(), dict[str, tuple[object, Service]]()
    roster.configure(NGINX)
    before: list[tuple[Noted, list[tuple[str, ...]]]] = []
    for each in shown:
        for name, said in each.items():
            if objects.get(name, (None,))[0] != said:  # else the very same object, as from a tree
                ports, tags, routes = said
                instances = tuple(Instance("10.0.0.1", port, tags=tags) for port in sorted(ports))
                app, _, env = name.partition("_")
                objects[name] = said, Service(name, app, env, instances, routes)
        taken = Snapshot(1, tuple(objects[name][1] for name in sorted(each)))
        fresh = Roster()
        fresh.configure(NGINX)
        found, wanted = noted(roster, taken), noted(fresh, taken)
        assert [*found.site.seeds] == [*wanted.site.seeds] == sorted(each)
        peers = [pool.peers for pool in (found.site.pools or {}).values()]
        assert peers == [pool.peers for pool in (wanted.site.pools or {}).values()]
        if all(one.instances for one in taken.services):
            assert found.site.pools == wanted.site.pools
            assert found.structure == wanted.structure
        before.append((found, [seed.pieces for seed in found.site.seeds.values()]))
    # What was noted once stays what it was.
    for one, pieces in before:
        assert [seed.pieces for seed in one.site.seeds.values()] == pieces


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
