"""The loop that alone writes: what is desired comes true, whatever gets in its way."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from registrar.doubt import Doubt
from registrar.host.claim import Held
from registrar.model import Instance
from registrar.registry import publisher
from registrar.registry.denials import Denials
from registrar.registry.publisher import Desired, Publisher
from tests.stack.etcd import eventually
from wharfinger.errors import Conflict, Rejected, Unavailable, WharfingerError
from wharfinger.etcd.faults import LeaseNotFound
from wharfinger.events import Events
from wharfinger.health import Check
from wharfinger.keys import Endpoint, InstanceKey, Service
from wharfinger.metadata import Metadata

KEY = InstanceKey(Service("shop", "prod"), Endpoint("10.0.0.7", 20_000))
INSTANCE = Instance(KEY, Metadata(id="a" * 64, host="box"))
DESIRED = Desired({KEY: INSTANCE})
HOST_KEY = "/wharfinger/hosts/box/registrar"


class Registry:
    """An etcd that fails as it is told to."""

    def __init__(self) -> None:
        self.faults: list[WharfingerError] = []
        self.wanted: list[Mapping[InstanceKey, Instance]] = []
        self.leases: list[int] = []
        self.audits = 0
        self.forgotten_but: list[int] = []
        self.declared: list[bytes] = []
        self.denied: list[WharfingerError] = []
        self.denials = Denials()
        self.withheld: list[frozenset[str]] = []

    async def audit(self, _desired: Iterable[InstanceKey], _lease: int, *_more: str) -> None:
        self.audits += 1

    def forget_all_but(self, lease: int) -> None:
        self.forgotten_but.append(lease)

    async def converge(
        self,
        desired: Mapping[InstanceKey, Instance],
        lease: int,
        *,
        withheld: frozenset[str],
        **_more: Any,
    ) -> int:
        if self.faults:
            raise self.faults.pop(0)
        self.wanted.append(dict(desired))
        self.leases.append(lease)
        self.withheld.append(withheld)
        return sum(each.metadata.id in withheld for each in desired.values())

    async def declare(self, _key: str, value: bytes, _lease: int, *, anew: bool = False) -> None:
        # As the real one: what stands there is not put again, and a denial needs something to put.
        if (anew or value != self.value("")) and self.denied:
            raise self.denied[0]
        if anew or value != self.value(""):
            self.declared.append(value)

    def value(self, _key: str) -> bytes | None:
        return self.declared[-1] if self.declared else None


class Lease:
    id = 7
    doubts = 0

    def doubt(self) -> None:
        self.doubts += 1


class Press:
    def __init__(self) -> None:
        self.news = [b"record"]
        self.doubt = Doubt()
        self.registry = Registry()
        self.lease = Lease()
        self.metrics = CollectorRegistry()
        self.check = Check("registry", Events())
        self.publisher = Publisher(
            self.registry,  # type: ignore[arg-type]  # stands for the methods that are used
            self.lease,  # type: ignore[arg-type]
            self.check,
            host_key=HOST_KEY,
            # Told once, it is no news: the real one holds back what has just been said.
            host_record=lambda before: self.news.pop() if self.news else before or b"record",
            metrics=self.metrics,
            doubt=lambda: self.doubt,
        )

    def counted(self) -> float:
        name = "wharfinger_registrar_registration_seconds_count"
        return self.metrics.get_sample_value(name) or 0.0


@pytest.fixture
async def press(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Press]:
    monkeypatch.setattr(publisher, "JITTER_SECONDS", 0.01)
    press = Press()
    running = asyncio.create_task(press.publisher.run())
    yield press
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_nothing_is_written_before_anything_is_desired(press: Press) -> None:
    press.publisher.lease_changed(7)
    await asyncio.sleep(0)
    assert not press.publisher.synced.is_set()
    press.publisher.want(Desired())
    await press.publisher.synced.wait()
    assert press.registry.wanted == [{}]
    assert press.registry.declared == [b"record"]


async def test_what_is_desired_again_is_not_written_again(press: Press) -> None:
    press.publisher.want(DESIRED)
    await press.publisher.synced.wait()
    await eventually(lambda: press.registry.declared)
    press.publisher.want(Desired({KEY: INSTANCE}))
    press.publisher.want(Desired())
    await eventually(lambda: press.registry.wanted[-1] == {})
    assert press.registry.wanted == [{KEY: INSTANCE}, {}]
    assert press.counted() == 1


@pytest.mark.parametrize(
    "fault", [Unavailable("etcd is away"), Conflict("changed"), LeaseNotFound("gone")]
)
async def test_it_goes_on_after_every_fault(press: Press, fault: WharfingerError) -> None:
    press.registry.faults = [fault] * 3
    press.publisher.want(DESIRED)
    await press.publisher.synced.wait()
    assert press.registry.wanted == [{KEY: INSTANCE}]
    assert press.check.report().healthy
    assert press.lease.doubts == (3 if isinstance(fault, LeaseNotFound) else 0)


async def test_while_etcd_is_away_it_is_red(press: Press) -> None:
    press.registry.faults = [Unavailable("etcd is away")] * 5
    press.publisher.want(DESIRED)
    await eventually(lambda: press.check.report().why == "etcd is away")
    await press.publisher.synced.wait()
    assert press.check.report().healthy


async def test_who_changes_our_keys_again_and_again_is_told(press: Press) -> None:
    press.registry.faults = [Conflict("/shop_prod/10.0.0.7-80 was changed by someone else")] * 8
    press.publisher.want(DESIRED)
    await eventually(lambda: "10.0.0.7-80 was changed" in press.check.report().why)
    await press.publisher.synced.wait()
    assert press.check.report().healthy


async def test_a_denied_service_is_a_note_and_the_rest_is_written(press: Press) -> None:
    press.registry.denials.note("secret_prod", "permission denied", 0.0)
    press.publisher.want(DESIRED)
    await press.publisher.synced.wait()
    report = press.check.report()
    assert (report.healthy, report.why) == (True, "not registered: secret_prod: permission denied")


async def test_who_may_no_longer_tell_of_itself_is_red_until_it_may(press: Press) -> None:
    press.publisher.want(DESIRED)
    await press.publisher.synced.wait()
    press.registry.denied = [Rejected("as user box: permission denied")]
    press.news = [b"other record"]
    press.publisher.want(Desired())
    await eventually(lambda: press.registry.audits > 4)
    assert press.check.report().why == "as user box: permission denied"
    press.registry.denied = []
    await eventually(lambda: press.check.report().healthy)


async def test_of_two_registrars_of_a_host_the_later_is_red_and_writes_nothing(
    press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def declare(_key: str, _value: bytes, _lease: int, **_more: bool) -> None:
        raise Held("host box is held by another registrar")

    monkeypatch.setattr(press.registry, "declare", declare)
    press.publisher.want(DESIRED)
    await eventually(lambda: press.registry.audits > 2)
    assert press.check.report().why == "host box is held by another registrar"
    assert press.registry.wanted == []


async def test_a_new_lease_has_everything_put_again(press: Press) -> None:
    press.publisher.want(DESIRED)
    await press.publisher.synced.wait()
    press.lease.id = 8
    press.publisher.lease_changed(8)
    await eventually(lambda: press.registry.leases[-1] == 8)
    assert press.registry.forgotten_but == [8]


async def test_damage_is_looked_for_again_and_again(
    press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "AUDIT_SECONDS", 0.01)
    press.publisher.want(DESIRED)
    await eventually(lambda: press.registry.audits > 3)
    assert press.counted() == 1


async def test_what_was_planned_before_a_doubt_waits_and_is_red_until_all_are_known(
    press: Press,
) -> None:
    press.publisher.want(DESIRED)
    await press.publisher.synced.wait()
    doubt = press.doubt = Doubt().raised(5.0, ["a" * 64])
    press.publisher.lease_changed(8)
    await eventually(lambda: press.registry.withheld[-1] == {"a" * 64})
    await eventually(lambda: not press.check.report().healthy)
    assert (
        press.check.report().why == "1 instance not put yet: Docker has yet to say what still runs"
    )
    # Planned after it, and still nobody has looked.
    press.publisher.want(Desired({KEY: INSTANCE}, doubt=doubt))
    await eventually(lambda: len(press.registry.withheld) == 3)
    assert press.registry.withheld[-1] == {"a" * 64}
    press.doubt = doubt.settled(["a" * 64])
    press.publisher.want(Desired({KEY: INSTANCE}, doubt=press.doubt))
    await eventually(lambda: press.check.report().healthy)
    assert press.registry.withheld[-1] == frozenset()


async def test_nothing_was_made_true_while_somebody_waits(press: Press) -> None:
    doubt = press.doubt = Doubt().raised(5.0, ["a" * 64])
    press.publisher.want(Desired({KEY: INSTANCE}, doubt=doubt))
    await eventually(lambda: press.registry.withheld)
    assert not press.publisher.synced.is_set()
    assert press.counted() == 0
    press.publisher.want(Desired({KEY: INSTANCE}, doubt=doubt.settled(["a" * 64])))
    await press.publisher.synced.wait()
    assert press.counted() == 1
