"""What others may have written into etcd and the registry: no verb repaints a terminal with it."""

import json
from typing import Any

import pytest

from deploy.release.evidence import artifact
from deploy.release.evidence.model import Evidence
from deploy.release.records.record import MAX_BYTES
from deploy.release.registry import Manifest, Registry
from deploy.release.registry.manifest import OCI_MANIFEST, Contents, Descriptor, digest_of, encode
from tests.stack.commandsite import CommandSite
from tests.stack.deploycommand import Ended

pytestmark = pytest.mark.real

# To clear the screen, to turn the writing direction, to name the window, to end a line, C1's CSI.
EVIL = "\x1b[2J\u202e\x1b]0;x\x07\n\r\x9b31m"
SHOP = "/wharfinger/deploy/shop_integration/"
# Nobody reads more of what somebody else says.
LONGEST = 1_500
VALUES = {
    "huge": b'{"release": "' + b"r" * (1 << 20) + b'"}',
    "a word": json.dumps(EVIL * 3_000).encode(),
    "deep": b"[" * 100_000,
    "no text": b"\xff\xfe\x00",
    "empty": b"",
    "a list": json.dumps([EVIL]).encode(),
    "wrong types": json.dumps({"release": {EVIL: EVIL}, "by": [EVIL], "state": 1}).encode(),
    "other words": json.dumps({"release": "r1", "state": EVIL * 500, "by": EVIL}).encode(),
    "evil": json.dumps({"release": EVIL, "state": "failed", "by": EVIL, "why": EVIL}).encode(),
    "other keys": json.dumps({EVIL: EVIL, "state": "running"}).encode(),
}


def shown(done: Ended) -> Ended:
    """What a command has said, once it is fit for a terminal."""
    for line in (*done.out.splitlines(), *done.err.splitlines()):
        assert line.isprintable(), line[:200]
        assert len(line) <= LONGEST, line[:200]
    return done


def lock_of(value: bytes) -> bytes:
    return value if len(value) > MAX_BYTES else value.replace(b'"state"', b'"verb"')


@pytest.mark.parametrize("name", VALUES)
async def test_in_etcd(site: CommandSite, name: str) -> None:
    value = VALUES[name]
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    for number in ("7", "x", EVIL, "9" * 200):
        await site.etcd.put(f"{SHOP}releases/{number}", value)
        await site.etcd.put(f"/wharfinger/deploy/shop/pushes/{number}", value)
    for verb in (("status",), ("history",), ("rollback", "integration"), ("status", "--json")):
        shown(await site.deploy(*verb))
    assert shown(await site.deploy("up", "integration")).code == 0
    assert await site.running("integration") == [digest] * 2
    assert (await site.records("integration"))[-1].state == "succeeded"

    await site.etcd.put(f"{SHOP}lock", lock_of(value))
    held = shown(await site.deploy("up", "integration"))
    assert (held.code, "is locked by" in held.err) == (75, True)
    for verb in (("status",), ("status", "--json"), ("unlock", "integration")):
        assert shown(await site.deploy(*verb)).code == 0
    assert shown(await site.deploy("up", "integration")).code == 0


@pytest.mark.parametrize("name", VALUES)
async def test_as_evidence(site: CommandSite, name: str) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    await site.reported(digest)
    promote = ("promote", "integration", "production", "--approve", "seen")
    async with Registry() as registry:
        image = await registry.manifest(site.image, digest)
        assert image is not None
        await _attach(registry, site.image, image, VALUES[name])
        refused = shown(await site.deploy(*promote))
        assert (refused.code, "cannot be read" in refused.err) == (69, True)
    # What is kept by whoever may push is told, not believed.
    assert (await site.reported(digest)).code == 0
    assert shown(await site.deploy(*promote)).code == 0


async def test_of_a_clock_that_was_set_back_nothing_is_said(site: CommandSite) -> None:
    told = {"release": "r1", "state": "failed", "at": "2026-01-02T00:00:00Z"}
    for number, ended in ((1, "2026-01-01T00:00:00Z"), (2, "2026-01-02T00:00:07Z"), (3, "soon")):
        value = json.dumps({**told, "ended": ended}).encode()
        await site.etcd.put(f"{SHOP}releases/{number}", value)
    done = shown(await site.deploy("history", "integration"))
    assert [" 7 s " in line for line in done.out.splitlines()[1:4]] == [False, True, False]
    assert "-8" not in done.out


async def test_as_evidence_in_its_form(site: CommandSite) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    async with Registry() as registry:
        image = await registry.manifest(site.image, digest)
        assert image is not None
        for field in ("tool", "by", "note", "at", "app"):
            told: dict[str, Any] = {"check": "unit", "passed": True, "tests": 1, field: EVIL[:39]}
            await _attach(registry, site.image, image, artifact.encode(Evidence(**told)))
            refused = shown(await site.deploy("promote", "integration", "production"))
            assert (refused.code, "cannot be printed" in refused.err) == (69, True)


async def _attach(registry: Registry, name: str, image: Manifest, data: bytes) -> None:
    """As `attach` would, whatever it is."""
    config = await registry.put_blob(name, data)
    contents = Contents(
        schema_version=2,
        media_type=OCI_MANIFEST,
        config=Descriptor(media_type=artifact.CONFIG_TYPE, digest=config, size=len(data)),
        subject=image.descriptor,
        annotations={EVIL: EVIL},
    )
    number = 9_000_000_000_000_000 + len(await registry.tags(name))
    tag = artifact.tag(digest_of(image.body), "unit", number)
    await registry.put_manifest(name, tag, Manifest(OCI_MANIFEST, encode(contents)))
