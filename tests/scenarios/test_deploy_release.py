"""`deploy` from a commit to production and back, on real parts and under load."""

import json
from collections.abc import Callable

import pytest

from tests.stack.releasesite import WHARF, ReleaseSite

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(400)]

APPLICATION = WHARF.replace("environments:", "checks: [unit]\nenvironments:").replace(
    "replicas: 3, rollout", "replicas: 3, needs: [checks], approve: true, rollout"
)
JUNIT = '<testsuites><testsuite name="u"><testcase name="a"/></testsuite></testsuites>'
EXITS = """\
ARG LAYER
FROM ${LAYER}
COPY version /etc/version
ENTRYPOINT ["/bin/sh", "-c", "echo there is no database; exit 3"]
"""


async def report(site: ReleaseSite, digest: str) -> None:
    file = site.folder.parent / "unit.xml"
    file.write_text(JUNIT)
    await site.deploy("report", "unit", str(file), "--digest", digest)


async def test_one_digest_from_a_commit_to_production_and_back(
    release_site: ReleaseSite, record_property: Callable[[str, object], None]
) -> None:
    site = release_site
    first = await site.release("1", wharf=APPLICATION)
    await site.deploy("up", "integration")
    refused = await site.deploy("promote", "integration", "production", code=69)
    assert "unit: nobody reported it" in refused.err
    await report(site, first)
    await site.deploy("promote", "integration", "production", "--approve", "first of all")
    assert await site.running("production") == [first] * 3

    async with site.load() as load:
        second = await site.release("2", wharf=APPLICATION)
        await report(site, second)
        await site.deploy("up", "integration", "--digest", second)
        await site.deploy("promote", "integration", "production", "--approve", "looked at it")
        assert await site.running("production") == [second] * 3
        await site.deploy("scale", "production", "5")
        assert await site.running("production") == [second] * 5
        await site.deploy("rollback", "production")
        assert await site.running("production") == [first] * 5

        broken = await site.release("3", wharf=APPLICATION, dockerfile=EXITS)
        failed = await site.deploy(
            "up", "production", "--digest", broken, "--without-evidence", "a try", code=69
        )
        assert "there is no database" in failed.err
        assert await site.running("production") == [first] * 5
        status = await site.deploy("status", "production", "--json")
        assert "was rolled back" in json.dumps(status.result)
        await site.deploy("scale", "production", "2")
        assert await site.running("production") == [first] * 2
    record_property("requests answered", len(load.answered))
    record_property("requests lost", len(load.lost))
    assert load.lost == []

    told = (await site.deploy("history", "production", "--json")).result["releases"]
    assert [(each["verb"], each["release"], each["state"]) for each in told] == [
        ("scale", "r1", "succeeded"),
        ("up", "r3", "rolled back"),
        ("rollback", "r1", "succeeded"),
        ("scale", "r2", "succeeded"),
        ("promote", "r2", "succeeded"),
        ("promote", "r1", "succeeded"),
    ]
