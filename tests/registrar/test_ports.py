"""Assignment of ports: never one twice, never one in use, the just-freed one last."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from registrar.porttable import (
    Assignments,
    PortRange,
    Table,
    decode,
    encode,
    is_reserved,
    merge_reserved,
)
from wharfinger.errors import Rejected

RANGE = PortRange(20_000, 20_005)
IDS = [f"{number:064x}" for number in range(9)]


def free(_port: int) -> bool:
    return True


class AssignmentMachine(RuleBasedStateMachine):
    """Containers come and go while foreign processes take and leave ports."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Assignments()
        self.model: dict[str, int] = {}
        self.busy: set[int] = set()

    @rule(container=st.sampled_from(IDS))
    def assign(self, container: str) -> None:
        left = set(RANGE) - self.busy - set(self.model.values())
        try:
            self.table = self.table.assign(container, RANGE, lambda port: port not in self.busy)
        except Rejected:
            assert not left
            assert container not in self.model
            return
        port = self.table.ports[container]
        assert self.model.get(container, port) == port
        assert container in self.model or port in left
        self.model[container] = port

    @rule(container=st.sampled_from(IDS))
    def release(self, container: str) -> None:
        self.table = self.table.release(container)
        self.model.pop(container, None)

    @rule(container=st.sampled_from(IDS), port=st.sampled_from(list(RANGE)))
    def adopt(self, container: str, port: int) -> None:
        taken = any(p == port and c != container for c, p in self.model.items())
        try:
            self.table = self.table.adopt(container, port)
        except Rejected:
            assert taken
            return
        assert not taken
        self.model[container] = port

    @rule(port=st.sampled_from(list(RANGE)))
    def foreign_process(self, port: int) -> None:
        self.busy ^= {port}

    @precondition(lambda self: self.model)
    @rule()
    def restart(self) -> None:
        again = decode(encode(Table(RANGE, frozenset({20_002, 20_001}), self.table)))
        assert again == Table(RANGE, frozenset({20_001, 20_002}), self.table)
        self.table = again.assignments

    @invariant()
    def one_port_each(self) -> None:
        assert self.table.ports == self.model
        assert len(set(self.model.values())) == len(self.model)
        assert not set(self.table.freed) & set(self.model.values())


TestAssignments = AssignmentMachine.TestCase
TestAssignments.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_a_freed_port_rests_behind_all_others() -> None:
    table = Assignments()
    for container in IDS[:3]:
        table = table.assign(container, RANGE, free)
    table = table.release(IDS[2]).release(IDS[0])
    given_again = []
    for container in IDS[3:8]:
        table = table.assign(container, RANGE, free)
        given_again.append(table.ports[container])
    assert given_again == [20_003, 20_004, 20_005, 20_002, 20_000]


def test_an_exhausted_range_says_so_and_changes_nothing() -> None:
    table = Assignments()
    for container in IDS[:6]:
        table = table.assign(container, RANGE, free)
    with pytest.raises(Rejected, match=r"all 6 of registrar\.port_range 20000-20005"):
        table.assign(IDS[6], RANGE, free)
    with pytest.raises(Rejected, match="no port is left"):
        Assignments().assign(IDS[0], RANGE, lambda _port: False)


def test_a_changed_range_leaves_given_ports_alone() -> None:
    table = Assignments().assign(IDS[0], RANGE, free)
    assert table.assign(IDS[0], PortRange(25_000, 25_001), free) == table
    assert table.assign(IDS[1], PortRange(25_000, 25_001), free).ports[IDS[1]] == 25_000


def test_the_table_is_lines_that_a_person_can_read() -> None:
    held = Assignments(
        {IDS[1]: 20_000, IDS[2]: 20_001}, (20_004, 20_003), in_environment=frozenset({IDS[2]})
    )
    text = (
        "wharfinger ports 1\nrange 20000-20005\ntaken 8080\nfreed 20004 20003\n"
        f"port 20000 {IDS[1]} script\nport 20001 {IDS[2]} environment\nend\n"
    )
    assert encode(Table(RANGE, frozenset({8080}), held)).decode() == text
    assert decode(text.encode()) == Table(RANGE, frozenset({8080}), held)


def test_a_port_that_was_taken_back_is_in_nobodys_environment() -> None:
    held = Assignments({IDS[0]: 20_000}, in_environment=frozenset({IDS[0]}))
    assert held.release(IDS[0]).in_environment == frozenset()
    assert held.adopt(IDS[0], 20_001).in_environment == frozenset()
    assert held.adopt(IDS[1], 20_001).in_environment == {IDS[0]}


HEAD = "wharfinger ports 1\nrange 20000-20005\ntaken\nfreed\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begins with ''"),
        ('{"format":1,"assigned":{},"freed":[]}', "begins with"),
        ("wharfinger ports 2\nrange 20000-20005\ntaken\nfreed\nend\n", "ports 2"),
        ("wharfinger ports 1\nend\n", "cut off"),
        (HEAD, "cut off"),
        (f"{HEAD}port 20000 {IDS[0]} script\nen", "cut off"),
        (f"{HEAD}port 20000 {IDS[0]} script\nend", "cut off"),
        (f"{HEAD}port 20000 {IDS[0]}\nend\n", "where a container's port belongs"),
        (f"{HEAD}port 20000 {IDS[0]} magic\nend\n", "no way to tell a port"),
        (f"{HEAD}port 20000 ../x script\nend\n", "no container's id"),
        (f"{HEAD}port 0 {IDS[0]} script\nend\n", "no port"),
        (f"{HEAD}port 70000 {IDS[0]} script\nend\n", "no port"),
        (f"{HEAD}port x {IDS[0]} script\nend\n", "no port"),
        (f"{HEAD}\nend\n", "where 'port' belongs"),
        (f"{HEAD}port 20000 {IDS[0]} script\nport 20000 {IDS[1]} script\nend\n", "twice"),
        (f"{HEAD}port 20000 {IDS[0]} script\nport 20001 {IDS[0]} script\nend\n", "twice"),
        (HEAD.replace("range 20000-20005", "range 5") + "end\n", "not FIRST-LAST"),
        (HEAD.replace("taken", "taken  ") + "end\n", "no port"),
        (HEAD.replace("freed", "Freed") + "end\n", "where 'freed' belongs"),
    ],
)
def test_a_damaged_file_is_refused(text: str, why: str) -> None:
    with pytest.raises(Rejected, match=why):
        decode(text.encode())


@pytest.mark.parametrize(
    "text", ["", "20000", "20000-", "30000-20000", "1-5", "20000-70000", " 1-2", "٢٠٠٠٠-٢٩٩٩٩"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(Rejected):
        PortRange.parse(text)


@pytest.mark.parametrize(
    ("reserved", "merged"),
    [
        ("", "20000-20005"),
        ("\n", "20000-20005"),
        ("8080,9148-9150\n", "8080,9148-9150,20000-20005"),
        ("19999,20006", "19999-20006"),
        ("20001-20002,40000", "20000-20005,40000"),
        ("10000-30000", "10000-30000"),
    ],
)
def test_reserved_ports_of_others_are_kept(reserved: str, merged: str) -> None:
    assert merge_reserved(reserved, RANGE) == merged
    assert is_reserved(merged, RANGE)
    assert is_reserved(reserved, RANGE) == (reserved.strip() == merged)


@pytest.mark.parametrize("text", ["x", "1-2-3", "5-", "70000", "9-8"])
def test_a_reservation_that_is_not_understood_is_not_written_back(text: str) -> None:
    with pytest.raises(Rejected):
        merge_reserved(text, RANGE)


@given(
    st.lists(
        st.tuples(st.integers(1, 65_535), st.integers(0, 500)).map(
            lambda pair: PortRange(pair[0], min(65_535, sum(pair)))
        ),
        max_size=6,
    )
)
def test_merging_reserves_exactly_the_union(ranges: list[PortRange]) -> None:
    merged = merge_reserved(",".join(map(str, ranges)), RANGE)
    expected = {port for each in (*ranges, RANGE) for port in each}
    found: list[int] = []
    for part in merged.split(","):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    assert found == sorted(expected)
