"""Slots: never more than there are, and those for the fast never held by the slow."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from registrar.checks.lanes import Lanes, Slots

SLOTS = Slots(fast=2, slow=3)


class LanesMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes[int](SLOTS)
        self.waiting_fast: list[int] = []
        self.waiting_slow: list[int] = []
        self.running: dict[int, bool] = {}  # whether it holds a slow slot
        self.count = 0

    def holding(self, *, slow: bool) -> int:
        return list(self.running.values()).count(slow)

    @rule(slow=st.booleans())
    def enter(self, slow: bool) -> None:
        self.count += 1
        self.lanes.enter(self.count, slow=slow)
        (self.waiting_slow if slow else self.waiting_fast).append(self.count)

    @rule()
    def start(self) -> None:
        started = self.lanes.start()
        if self.waiting_fast and self.holding(slow=False) < SLOTS.fast:
            assert started == self.waiting_fast.pop(0)
            self.running[started] = False
        elif self.waiting_slow and self.holding(slow=True) < SLOTS.slow:
            assert started == self.waiting_slow.pop(0)
            self.running[started] = True
        else:
            assert started is None

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def lingers(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(sorted(self.running)))
        room = self.holding(slow=True) < SLOTS.slow
        assert self.lanes.slows(one) is (self.running[one] or room)
        self.running[one] = self.running[one] or room

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(sorted(self.running)))
        self.lanes.end(one)
        del self.running[one]

    @invariant()
    def no_more_than_there_are(self) -> None:
        assert self.lanes.running == len(self.running) <= SLOTS.fast + SLOTS.slow


TestLanes = LanesMachine.TestCase
TestLanes.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
