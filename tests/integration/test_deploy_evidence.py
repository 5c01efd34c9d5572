"""Evidence at a digest in a real registry: kept, read back, and what only looks like it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from deploy.release.app.model import App, Build, Environment
from deploy.release.app.model import EngineName as Name
from deploy.release.evidence import artifact
from deploy.release.evidence.gate import missing
from deploy.release.evidence.judging import Reporter
from deploy.release.evidence.model import Evidence
from deploy.release.records.pushes import Push, Pushes
from deploy.release.registry import Manifest, Registry
from deploy.release.registry.manifest import (
    OCI_MANIFEST,
    Contents,
    Descriptor,
    digest_of,
    encode,
)
from deploy.release.reporting import digest_of as digest_reported
from deploy.release.reporting import report
from deploy.release.workingcopy import WorkingCopy
from tests.stack.registry import made
from tests.stack.told import Told
from wharfinger.errors import Rejected
from wharfinger.etcd import Etcd
from wharfinger.operator.parts.registry import RegistryServer

pytestmark = pytest.mark.real

REPORTER = Reporter(by="alice", at="2026-11-26T13:00:00Z")
GOOD = b'<testsuite><testcase name="a"/></testsuite>'
BAD = b'<testsuite><testcase name="a"><failure/></testcase></testsuite>'


def evidence(check: str = "unit", **more: Any) -> Evidence:
    told: dict[str, Any] = {"check": check, "passed": True, "tests": 3, "by": "alice"}
    return Evidence(**{**told, **more})


def app(image: str) -> App:
    needs = Environment(name="prod", engine=Name.COMPOSE, needs=("checks", "pre.smoke"))
    build = Build(layer="base")
    return App(
        name="shop", image=image, build=build, checks=("unit",), environments={"prod": needs}
    )


async def test_what_was_attached_is_there_in_the_order_of_time(registry: RegistryServer) -> None:
    image = f"{registry.address}/team/shop"
    async with Registry() as client:
        digest = (await made(client, image)).digest
        other = (await made(client, image, "another")).digest
        assert await client.evidence(image, digest) == ()
        for note in ("first", "second", "third"):
            await client.attach(image, digest, evidence(note=note))
        await client.attach(image, other, evidence("bandit"))
        assert [each.note for each in await client.evidence(image, digest)] == [
            "first",
            "second",
            "third",
        ]
        assert [each.check for each in await client.evidence(image, other)] == ["bandit"]


async def test_the_report_is_kept_beside_what_was_read_from_it(
    registry: RegistryServer, tmp_path: Path
) -> None:
    image = f"{registry.address}/shop"
    (tmp_path / "unit.xml").write_bytes(BAD)
    told = Told()
    async with Registry() as client:
        digest = (await made(client, image)).digest
        found = await report(
            app(image),
            "unit",
            tmp_path / "unit.xml",
            REPORTER,
            digest=digest,
            registry=client,
            progress=told,
        )
        assert not found.holds
        assert await client.blob(image, f"sha256:{found.sha256}", 1_000) == BAD
        assert "unit did not pass: 1 test, 1 failed" in told.steps[-1]
        held = await client.evidence(image, digest)
        (first, _) = missing(("checks", "pre.smoke"), ("unit",), held)
        assert first.startswith("unit: 1 test, 1 failed")
        # Whoever looks at the manifest sees that it is about the image, and what it is.
        (tag,) = [tag for tag in await client.tags(image) if tag != "made"]
        kept = await client.manifest(image, tag)
        assert kept is not None
        contents = kept.contents()
        assert contents.subject == (await made(client, image)).descriptor
        assert contents.artifact_type == artifact.CONFIG_TYPE
        assert contents.layers[0].media_type == "application/xml"


async def test_nothing_is_attached_to_what_is_not_there(
    registry: RegistryServer, tmp_path: Path
) -> None:
    image = f"{registry.address}/shop"
    async with Registry() as client:
        await made(client, image)
        with pytest.raises(Rejected, match="deploy push"):
            await client.attach(image, digest_of(b"?"), evidence())
        with pytest.raises(Rejected, match="did the tool run"):
            await report(
                app(image),
                "unit",
                tmp_path / "none.xml",
                REPORTER,
                digest=digest_of(b"?"),
                registry=client,
                progress=Told(),
            )


async def test_a_check_that_nobody_needs_is_kept_and_remarked_on(
    registry: RegistryServer, tmp_path: Path
) -> None:
    image = f"{registry.address}/shop"
    (tmp_path / "unit.xml").write_bytes(GOOD)
    told = Told()
    async with Registry() as client:
        digest = (await made(client, image)).digest
        for check in ("untit", "pre.smoke"):
            await report(
                app(image),
                check,
                tmp_path / "unit.xml",
                REPORTER,
                digest=digest,
                registry=client,
                progress=told,
            )
        assert len(await client.evidence(image, digest)) == 2
    assert [step for step in told.steps if "is that its name?" in step] == [
        "no environment of shop needs untit: is that its name?"
    ]


async def test_a_report_that_meets_another_s_upload_is_put_again(
    registry: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = f"{registry.address}/shop"
    put, said = Registry.put_manifest, ["MANIFEST_BLOB_UNKNOWN: blob unknown to registry"]

    async def refused(client: Registry, image: str, tag: str, found: Manifest) -> None:
        if said:
            raise Rejected(f"{image}:{tag}: the registry says 400 {said.pop()}")
        await put(client, image, tag, found)

    async with Registry() as client:
        digest = (await made(client, image)).digest
        monkeypatch.setattr(Registry, "put_manifest", refused)
        await client.attach(image, digest, evidence())
        assert len(await client.evidence(image, digest)) == 1
        said.append("MANIFEST_INVALID: manifest invalid")
        with pytest.raises(Rejected, match="MANIFEST_INVALID"):
            await client.attach(image, digest, evidence())
        said.extend(["MANIFEST_BLOB_UNKNOWN"] * 5)
        with pytest.raises(Rejected, match="BLOB_UNKNOWN"):
            await client.attach(image, digest, evidence())
        assert len(await client.evidence(image, digest)) == 1


async def test_ten_who_report_at_once_are_all_heard(registry: RegistryServer) -> None:
    image = f"{registry.address}/shop"
    async with Registry() as client:
        digest = (await made(client, image)).digest
        checks = [f"check{n}" for n in range(5)] * 2
        await asyncio.gather(*(client.attach(image, digest, evidence(check)) for check in checks))
        held = await client.evidence(image, digest)
        assert sorted(each.check for each in held) == sorted(checks)


def forged(subject: Descriptor, config: Descriptor, **more: Any) -> Manifest:
    contents = Contents(
        schema_version=2, media_type=OCI_MANIFEST, config=config, subject=subject, **more
    )
    return Manifest(OCI_MANIFEST, encode(contents))


async def test_what_only_looks_like_evidence_is_told_and_passes_for_none(
    registry: RegistryServer,
) -> None:
    image = f"{registry.address}/shop"
    remarks: list[str] = []
    async with Registry() as client:
        one, two = await made(client, image), await made(client, image, "two")
        await client.attach(image, one.digest, evidence())

        async def put(number: int, found: Manifest, check: str = "unit") -> None:
            await client.put_manifest(image, artifact.tag(one.digest, check, number), found)

        async def config(data: bytes, kind: str = artifact.CONFIG_TYPE) -> Descriptor:
            digest = await client.put_blob(image, data)
            return Descriptor(media_type=kind, digest=digest, size=len(data))

        good = await config(artifact.encode(evidence()))
        await put(9_000_000_000_000_001, one)
        await put(9_000_000_000_000_002, forged(two.descriptor, good))
        await put(9_000_000_000_000_003, forged(one.descriptor, await config(b'{"check":"unit"}')))
        await put(9_000_000_000_000_004, forged(one.descriptor, await config(b" " * 100_000)))
        await put(9_000_000_000_000_005, forged(one.descriptor, good), "bandit")
        own_kind = await config(artifact.encode(evidence()), "application/json")
        await put(9_000_000_000_000_006, forged(one.descriptor, own_kind))
        # A tag that is no tag of ours, though it begins like one.
        await client.put_tag(image, one.digest, f"sha256-{one.digest[7:]}.unit.x")

        held = await client.evidence(image, one.digest, remarks.append)
        assert [each.check for each in held if each.holds] == ["unit"]
        # The last report may have been of a failure: an older pass does not stand for it.
        (lacking,) = missing(["unit"], (), held)
        assert lacking.startswith("unit: what was reported last cannot be read: it is another kind")
        await client.attach(image, one.digest, evidence())
        assert not missing(["unit"], (), await client.evidence(image, one.digest))
    reasons = [each.partition("is no evidence: ")[2] for each in remarks]
    assert sorted(reason[:20] for reason in reasons) == sorted(
        reason[:20]
        for reason in (
            "it is another kind of manifest",
            "it is about another digest than its tag says",
            "it is no evidence: Object missing",
            "it has 100000 bytes",
            "it is of 'unit', and its tag says bandit",
            "it is another kind of manifest",
        )
    )


async def test_of_a_check_the_last_ones_are_read(registry: RegistryServer) -> None:
    image = f"{registry.address}/shop"
    async with Registry() as client:
        digest = (await made(client, image)).digest
        await client.attach(image, digest, evidence(note="the first"))
        tag = next(tag for tag in await client.tags(image) if tag != "made")
        first = await client.manifest(image, tag)
        assert first is not None
        for number in range(1, 25):
            await client.put_manifest(image, artifact.tag(digest, "unit", number), first)
        await client.attach(image, digest, evidence(note="the last"))
        held = await client.evidence(image, digest)
        assert len(held) == 20
        assert held[-1].note == "the last"


async def test_what_a_report_is_about(etcd: Etcd, tmp_path: Path) -> None:
    image = "127.0.0.1:5000/shop"
    shop, copy, pushes = app(image), WorkingCopy(tmp_path), Pushes(etcd, "shop")
    one, two = digest_of(b"one"), digest_of(b"two")
    with pytest.raises(Rejected, match="nothing of shop was pushed"):
        await digest_reported(shop, None, copy=copy, pushes=pushes)
    assert await pushes.add(Push(release="r1", image=image, digest=one))
    assert await digest_reported(shop, None, copy=copy, pushes=pushes) == one
    copy.write("pushed", Push(release="r2", image=image, digest=two))
    assert await digest_reported(shop, None, copy=copy, pushes=None) == two
    # Of another repository, from before wharf.yaml was changed.
    copy.write("pushed", Push(release="r2", image="127.0.0.1:5000/old", digest=two))
    assert await digest_reported(shop, None, copy=copy, pushes=pushes) == one
    assert await pushes.add(Push(release="r2", image="127.0.0.1:5000/old", digest=two))
    assert await digest_reported(shop, None, copy=copy, pushes=pushes) == one
    for given in (two, f"{image}@{two}"):
        assert await digest_reported(shop, given, copy=copy, pushes=pushes) == two
    with pytest.raises(Rejected, match="is no digest"):
        await digest_reported(shop, "r2", copy=copy, pushes=pushes)
    assert (tmp_path / ".wharf" / ".gitignore").read_text() == "*\n"
