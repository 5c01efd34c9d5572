"""What is kept when etcd forgets, and for how long."""

from collections.abc import ItemsView

from hypothesis import given
from hypothesis import strategies as st

from discovery import guard
from discovery.guard import FAILURES_TO_DROP, REMEMBER_SECONDS, RETURN_SECONDS, Known
from discovery.model import Instance, Route, Service, Snapshot
from discovery.services.tree import Lost
from wharfinger import keys


def lost(port: int, service: str = "shop_prod", host: str = "") -> Lost:
    at = keys.InstanceKey(keys.Service.parse(service), keys.Endpoint("10.0.0.1", port))
    instance = Instance("10.0.0.1", port, host=host, http_host="shop.test")
    return Lost(at, instance, lease=7)


def snapshot(*services: Service) -> Snapshot:
    return Snapshot(1, services)


def service(name: str, *instances: Instance, routes: tuple[Route, ...] = ()) -> Service:
    app, _, env = name.rpartition("_")
    return Service(name, app, env, instances, routes)


def names(one: Snapshot) -> dict[str, list[str]]:
    return {s.name: [i.address for i in s.instances] for s in one.services}


def test_what_is_lost_is_served_on_and_marked() -> None:
    kept = guard.keep({}, [lost(1), lost(2)], now=0.0)
    shown = guard.served(snapshot(service("shop_prod", Instance("10.0.0.1", 3))), kept, {})
    assert names(shown) == {"shop_prod": ["10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3"]}
    assert [i.kept for i in shown.services[0].instances] == [True, True, False]
    assert shown.services[0].routes == (Route("shop.test", "/"),)
    assert names(guard.served(snapshot(), kept, {})) == {"shop_prod": ["10.0.0.1:1", "10.0.0.1:2"]}


def test_it_goes_when_probes_fail_in_a_row() -> None:
    kept = guard.keep({}, [lost(1), lost(2)], now=0.0)
    for _ in range(FAILURES_TO_DROP - 1):
        kept = guard.probed(kept, {("10.0.0.1", 1): False, ("10.0.0.1", 2): True})
    assert len(kept) == 2
    recovered = guard.probed(kept, {("10.0.0.1", 1): True})
    assert guard.probed(recovered, {("10.0.0.1", 1): False}).keys() == kept.keys()
    left = guard.probed(kept, {("10.0.0.1", 1): False, ("10.0.0.1", 2): True})
    assert [one.lost.instance.port for one in left.values()] == [2]


def test_it_goes_when_its_address_is_registered_by_whomever() -> None:
    kept = guard.keep({}, [lost(1), lost(2)], now=0.0)
    other = snapshot(service("blog_prod", Instance("10.0.0.1", 1)))
    left = guard.release(kept, other, now=1.0)
    assert [one.lost.instance.port for one in left.values()] == [2]


def test_it_goes_some_time_after_its_host_is_back() -> None:
    kept = guard.keep({}, [lost(1, host="h"), lost(2, host="other")], now=0.0)
    back = snapshot(service("blog_prod", Instance("10.0.0.9", 1, host="h")))
    kept = guard.release(kept, back, now=10.0)
    assert len(kept) == 2
    left = guard.release(kept, back, now=10.0 + RETURN_SECONDS)
    assert [one.lost.instance.host for one in left.values()] == ["other"]
    assert len(guard.release(kept, snapshot(), now=10.0 + RETURN_SECONDS)) == 2


def test_a_service_is_remembered_with_its_routes_and_then_forgotten() -> None:
    routes = (Route("shop.test", "/"),)
    there = snapshot(service("shop_prod", Instance("10.0.0.1", 1), routes=routes))
    known = guard.remember({}, there, now=1000.0)
    shown = guard.served(snapshot(), {}, known)
    assert shown.services == (service("shop_prod", routes=routes),)
    assert guard.remember(known, snapshot(), now=1000.0 + REMEMBER_SECONDS) == {}


def test_a_remembered_name_never_stands_beside_one_that_differs_by_case() -> None:
    there = snapshot(service("Shop_prod", Instance("10.0.0.1", 1)))
    known = {"shop_prod": Known(0.0), "SHOP_prod": Known(0.0)}
    assert list(names(guard.served(there, {}, known))) == ["Shop_prod"]
    assert len(guard.served(snapshot(), {}, known).services) == 1


ports = st.sets(st.integers(1, 6))


@given(ports, ports, st.lists(st.dictionaries(st.integers(1, 6), st.booleans()), max_size=8))
def test_whatever_answers_is_never_let_go_by_probes(
    gone: set[int], registered: set[int], rounds: list[dict[int, bool]]
) -> None:
    kept = guard.keep({}, [lost(port) for port in gone], now=0.0)
    for answers in rounds:
        kept = guard.probed(kept, {("10.0.0.1", port): ok for port, ok in answers.items()})
    left = {one.lost.instance.port for one in kept.values()}
    assert {p for p in gone if not any(r.get(p) is False for r in rounds)} <= left
    live = service("shop_prod", *(Instance("10.0.0.1", port) for port in sorted(registered)))
    kept = guard.release(kept, snapshot(live), now=1.0)
    shown = guard.served(snapshot(live), kept, {}).services[0]
    addresses = [i.address for i in shown.instances]
    assert len(addresses) == len(set(addresses))
    assert registered <= {i.port for i in shown.instances}


class Counted(dict[keys.InstanceKey, guard.Kept]):
    """Counts how often somebody goes through it."""

    times = 0

    def items(self) -> ItemsView[keys.InstanceKey, guard.Kept]:
        Counted.times += 1
        return super().items()


def test_a_thousand_services_that_are_lost_are_not_gone_through_for_each() -> None:
    gone = [lost(1, f"s{number}_prod") for number in range(1000)]
    kept = Counted(guard.keep({}, gone, now=0.0))
    assert len(guard.served(snapshot(), kept, {}).services) == 1000
    assert Counted.times < 10


steps = st.lists(
    st.dictionaries(
        st.sampled_from(["a_b", "A_b", "c_d"]),
        st.tuples(st.lists(st.sampled_from([80, 81]), max_size=2, unique=True), st.booleans()),
    ),
    max_size=8,
)


@given(steps)
def test_who_is_looked_at_once_need_not_be_again(
    shown: list[dict[str, tuple[list[int], bool]]],
) -> None:
    objects = dict[str, tuple[object, Service]]()
    known, every = dict[str, Known](), dict[str, Known]()
    looked: tuple[Service, ...] = ()
    whole: tuple[Service, ...] = ()
    for each in shown:
        for name, said in each.items():
            if objects.get(name, (None,))[0] != said:  # else the very same object, as from a tree
                instances = tuple(Instance("10.0.0.1", port) for port in sorted(said[0]))
                routes = (Route("a.test", "/"),) if said[1] else ()
                app, _, env = name.partition("_")
                objects[name] = said, Service(name, app, env, instances, routes)
        snapshot = Snapshot(1, tuple(objects[name][1] for name in sorted(each)))
        known = dict(guard.remember(known, snapshot, 5.0, looked))
        every = dict(guard.remember(every, snapshot, 5.0))
        assert known == every
        found = guard.served(snapshot, {}, known, whole)
        assert found == guard.served(snapshot, {}, every)
        looked = snapshot.services
        if found is snapshot:
            whole = snapshot.services
