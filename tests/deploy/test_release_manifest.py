"""Manifests, and evidence as one; what is read two ways by two readers is read by none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.release.evidence import artifact
from deploy.release.evidence.model import Evidence
from deploy.release.registry.manifest import (
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Contents,
    Manifest,
    digest_of,
    encode,
)
from wharfinger.errors import Rejected

DIGEST = "sha256:" + "ab" * 32
CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST, "size": 7}


def manifest(media_type: str = OCI_MANIFEST, **told: Any) -> Manifest:
    return Manifest(media_type, json.dumps({"schemaVersion": 2, **told}).encode())


def test_what_an_image_says() -> None:
    found = manifest(DOCKER_MANIFEST, mediaType=DOCKER_MANIFEST, config=CONFIG, layers=[CONFIG])
    contents = found.contents()
    assert contents.config is not None
    assert contents.config.digest == DIGEST
    assert len(contents.layers) == 1
    assert found.descriptor.digest == digest_of(found.body)
    assert found.descriptor.size == len(found.body)


def test_fields_of_later_versions_do_no_harm() -> None:
    assert manifest(config=CONFIG, later={"a": 1}).contents().config is not None


def test_a_list_is_no_image() -> None:
    found = manifest(OCI_INDEX, mediaType=OCI_INDEX, manifests=[CONFIG]).contents()
    assert found.config is None
    assert len(found.manifests) == 1


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (manifest(mediaType=OCI_INDEX, config=CONFIG), "calls itself"),
        (manifest(config=CONFIG, manifests=[CONFIG]), "a list and an image at once"),
        (manifest(config={**CONFIG, "size": -1}), "is no manifest"),
        (manifest(config="x"), "is no manifest"),
        (manifest(config={**CONFIG, "digest": "../../x"}), "is no manifest"),
        (manifest(config={**CONFIG, "mediaType": "\x1b[2J"}), "is no manifest"),
        (manifest(mediaType="\x1b[2J"), "is no manifest"),
        (manifest(config={**CONFIG, "digest": f"{DIGEST}\n"}), "is no manifest"),
        (Manifest(OCI_MANIFEST, b""), "is no manifest"),
        (Manifest(OCI_MANIFEST, b"[" * 100_000), "is no manifest"),
        (Manifest(OCI_MANIFEST, b"\xff"), "is no manifest"),
    ],
)
def test_what_two_would_read_differently_is_refused(found: Manifest, why: str) -> None:
    with pytest.raises(Rejected, match=why):
        found.contents()


def test_what_we_write_has_the_names_of_the_specification() -> None:
    ours = Contents(schema_version=2, media_type=OCI_MANIFEST, artifact_type="application/x")
    assert json.loads(encode(ours)) == {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/x",
    }


CHECKS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,38}\Z")


@given(CHECKS, st.integers(0, artifact.MAX_NUMBER))
def test_a_tag_of_evidence_is_read_as_it_was_written(check: str, number: int) -> None:
    tag = artifact.tag(DIGEST, check, number)
    assert len(tag) <= 128
    assert artifact.tag_read(tag, DIGEST) == (check, number)
    assert artifact.tag_read(tag, digest_of(b"another")) is None


@given(st.text(max_size=100))
def test_other_tags_are_none_of_evidence(text: str) -> None:
    assert artifact.tag_read(text, DIGEST) is None


def test_evidence_is_read_as_it_was_written() -> None:
    told = Evidence(check="unit", passed=True, tests=3, tool="pytest", by="alice", note="ä")
    assert artifact.decode(artifact.encode(told)) == told


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"check":"unit"}',
        b'{"check":"unit","passed":1}',
        b'{"check":"unit","passed":true,"tests":-1}',
        b'{"check":"unit","passed":true,"tests":1e400}',
        b'{"check":"unit","passed":true,"sha256":"x"}',
        b'{"check":"","passed":true}',
        b'{"check":"unit","passed":true,"tool":"\\u001b[2J"}',
        b'{"check":"' + b"a" * 40 + b'","passed":true}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_evidence_is_refused(data: bytes) -> None:
    with pytest.raises(Rejected):
        artifact.decode(data)
