"""The objects for Kubernetes against its published schemas, and what they must not differ in."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

FILE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "wharfinger.yaml"
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all(FILE.read_text()))
DAEMONS = {each["metadata"]["name"]: each for each in OBJECTS if each["kind"] == "DaemonSet"}


@pytest.mark.parametrize("version", ["1.25", "1.31", "1.37"])
def test_every_object_is_one_in_each_version(version: str) -> None:
    for each in OBJECTS:
        kubernetes_validate.validate(each, version, strict=True)


def test_the_schemas_refuse_what_is_misspelt() -> None:
    wrong = yaml.safe_load(FILE.read_text().split("---\n")[2].replace("hostNetwork", "hostNet"))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.31", strict=True)


def test_every_mount_has_a_volume_and_every_volume_a_mount() -> None:
    for each in OBJECTS:
        if "template" not in each.get("spec", {}):
            continue
        pod = each["spec"]["template"]["spec"]
        claims = each["spec"].get("volumeClaimTemplates", ())
        volumes = {volume["name"] for volume in pod["volumes"]}
        volumes |= {claim["metadata"]["name"] for claim in claims}
        mounts = {
            mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]
        }
        assert mounts == volumes
        assert (
            each["spec"]["selector"]["matchLabels"]
            == (each["spec"]["template"]["metadata"]["labels"])
        )


def test_agents_are_on_the_hosts_network_without_rights_that_they_need_not() -> None:
    assert DAEMONS.keys() == {"registrar", "logshipper", "nginx", "discovery"}
    for name, each in DAEMONS.items():
        pod = each["spec"]["template"]["spec"]
        assert pod["hostNetwork"]
        assert not pod["automountServiceAccountToken"]
        assert not pod.get("hostPID")
        # Two of a kind on one host: the ports are the host's.
        assert each["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] == 0
        (container,) = pod["containers"]
        assert "privileged" not in container["securityContext"]
        if name != "nginx":
            assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
