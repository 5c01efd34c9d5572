"""When other hosts count as out of reach, and when as back."""

from hypothesis import given
from hypothesis import strategies as st

from discovery.isolation import MOST_HOSTS, Address, Isolation, asked, judged
from discovery.model import Instance, Service

ONE, TWO, THREE = ("10.0.0.1", 1), ("10.0.0.2", 1), ("10.0.0.3", 1)


def answers(
    *answering: Address, of: tuple[Address, ...] = (ONE, TWO, THREE)
) -> dict[Address, bool]:
    return {address: address in answering for address in of}


def service(*instances: Instance) -> Service:
    return Service("shop_prod", "shop", "prod", instances)


def test_one_instance_of_each_other_host_is_asked() -> None:
    instances = (
        Instance("10.0.0.1", 9, host="a"),
        Instance("10.0.0.1", 8, host="a"),
        Instance("10.0.0.9", 7, host="own"),
        Instance("10.0.0.2", 9),
        Instance("10.0.0.2", 10),
        Instance("127.0.0.1", 9),
        Instance("::1", 9),
        Instance("10.0.0.3", 53, host="c", protocol="udp"),
    )
    wanted = (("10.0.0.2", 9), ("10.0.0.1", 8))
    assert asked([service(*instances)], "own") == wanted
    assert asked([service(*instances[:3]), service(*instances[3:])], "own") == wanted
    assert asked([], "own") == ()
    many = service(*(Instance("10.1.0.1", n, host=f"h{n:04}") for n in range(1, 1000)))
    assert len(asked([many], "own")) == MOST_HOSTS


def test_who_hears_nothing_is_cut_off_until_most_answer_again() -> None:
    cut, over = judged(Isolation(), answers(), 10.0, hears=False)
    assert (cut, over) == (Isolation(frozenset((ONE, TWO, THREE)), 10.0), False)
    same, over = judged(cut, answers(ONE), 11.0, hears=False)
    assert (same, over) == (cut, False)
    # Etcd may be heard before the others are, or after them.
    for hears in (True, False):
        same, over = judged(cut, answers(ONE), 12.0, hears=hears)
        assert (same, over) == (cut, False)
        assert judged(cut, answers(ONE, TWO), 12.0, hears=hears) == (Isolation(), True)


def test_a_silent_etcd_alone_is_no_isolation() -> None:
    assert judged(Isolation(), answers(ONE, TWO, THREE), 1.0, hears=False) == (Isolation(), False)
    assert judged(Isolation(), answers(ONE, TWO), 1.0, hears=False) == (Isolation(), False)
    assert judged(Isolation(), {}, 1.0, hears=False) == (Isolation(), False)
    assert judged(Isolation(), answers(), 1.0, hears=True) == (Isolation(), False)
    # Half of the hosts died, etcd with them: it is they who are away.
    half = answers(ONE, of=(ONE, TWO))
    assert judged(Isolation(), half, 1.0, hears=False) == (Isolation(), False)


def test_who_is_not_served_any_more_is_not_waited_for() -> None:
    cut, _ = judged(Isolation(), answers(), 1.0, hears=False)
    left, over = judged(cut, answers(of=(ONE,)), 2.0, hears=True)
    assert (left, over) == (Isolation(frozenset((ONE,)), 1.0), False)
    assert judged(left, answers(TWO, of=(TWO,)), 3.0, hears=True) == (Isolation(), False)


@given(st.lists(st.tuples(st.frozensets(st.sampled_from((ONE, TWO, THREE))), st.booleans())))
def test_it_is_over_once_for_each_time_it_began(
    rounds: list[tuple[frozenset[Address], bool]],
) -> None:
    known, began, ended = Isolation(), 0, 0
    for number, (answering, hears) in enumerate(rounds, 1):
        before = known
        known, over = judged(known, answers(*answering), float(number), hears=hears)
        began += bool(known.missed) and not before.missed
        ended += over
        assert bool(known.missed) == (began == ended + 1)
