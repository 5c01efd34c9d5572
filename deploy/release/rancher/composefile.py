"""docker-compose.yml as rancher-compose takes it: format 2.0 and Rancher's own keys."""

import re
from typing import Final

from deploy.release.rancher import labels
from deploy.release.rancher.shapes import (
    NAME_CHARACTERS,
    Shape,
    anything,
    flag,
    hold,
    mapping,
    number_or_text,
    pairs,
    ports,
    sequence,
    text,
    text_or_texts,
    texts,
    whole,
)
from deploy.release.yamllines import Reading, Value

TOP: Final[dict[str, Shape]] = {
    "version": text,
    "services": mapping,
    "volumes": mapping,
    "networks": mapping,
}


def _shapes(shape: Shape, names: str) -> dict[str, Shape]:
    return dict.fromkeys(names.split(), shape)


# The schema of the last rancher-compose (2017), of which an unknown key is refused.
SERVICE: Final[dict[str, Shape]] = {
    **_shapes(
        text,
        "cgroup_parent container_name cpuset default_cert domainname hostname image ipc isolation"
        " mac_address network_mode pid restart stop_signal user uts volume_driver working_dir",
    ),
    **_shapes(
        number_or_text,
        "blkio_weight cpu_period cpu_quota cpu_shares mem_limit mem_reservation memswap_limit"
        " shm_size",
    ),
    **_shapes(whole, "mem_swappiness oom_score_adj"),
    **_shapes(flag, "oom_kill_disable privileged read_only stdin_open tty"),
    **_shapes(
        texts,
        "blkio_weight_device cap_add cap_drop certs depends_on devices external_links links"
        " security_opt volumes volumes_from",
    ),
    **_shapes(text_or_texts, "command dns dns_search entrypoint env_file tmpfs"),
    **_shapes(
        pairs,
        "device_read_bps device_read_iops device_write_bps device_write_iops dns_opt environment"
        " extra_hosts labels",
    ),
    **_shapes(ports, "expose group_add ports"),
    **_shapes(mapping, "logging ulimits"),
    **_shapes(anything, "build extends networks"),
    **_shapes(sequence, "disks"),
}
# Its schema has them, but they count in rancher-compose.yml alone once that file is there.
ELSEWHERE: Final = frozenset(
    [
        "external_ips",
        "health_check",
        "lb_config",
        "load_balancer_config",
        "memory",
        "metadata",
        "network_driver",
        "retain_ip",
        "scale",
        "scale_policy",
        "storage_driver",
        "type",
        "update_strategy",
        "userdata",
        "vcpu",
    ]
)
# What Compose has had since, each with the way that Rancher has in its place.
LATER: Final = {
    "healthcheck": "write health_check in rancher-compose.yml",
    "stop_grace_period": "let the image's entrypoint hold SIGTERM back (with-port does)",
    "deploy": "use labels (io.rancher.scheduler.global) and rancher-compose.yml",
    "secrets": "mount a folder of the host",
    "configs": "mount a folder of the host",
    "init": "put an init into the image",
    "sysctls": "set them on the host",
    "pids_limit": "set it on the host",
    "runtime": "make it the engine's default (default-runtime in daemon.json)",
}
NAME: Final = re.compile(NAME_CHARACTERS, re.ASCII)


def check(reading: Reading) -> dict[str, Value]:
    """Notes everything that rancher-compose would refuse, drop or ignore; gives the services."""
    top = reading.top.entries or {}
    hold(reading, top, TOP, "rancher-compose drops it without a word")
    version = top.get("version")
    if version is None or version.scalar != "2":
        reading.fault(
            version or reading.top,
            "rancher-compose reads no version but '2'",
            "write version: '2', in quotes",
        )
    if "services" not in top:
        reading.fault(reading.top, "there are no services", "put them below `services:`")
        return {}
    services = top["services"].entries or {}
    for name, service in services.items():
        _service(reading, name, service)
    for name, service in services.items():
        _sidekicks(reading, name, service, services)
    return services


def _service(reading: Reading, name: str, service: Value) -> None:
    if not NAME.fullmatch(name):
        fix = "use letters, digits, and - between them: 63 at most"
        reading.fault(service, "is no name of a service: Rancher refuses it", fix)
    if service.entries is None:
        reading.fault(service, f"is {service.kind}, not a mapping", "give it an image")
        return
    known = {}
    for key, value in service.entries.items():
        if key in ELSEWHERE:
            reading.fault(
                value,
                "is ignored here as soon as there is a rancher-compose.yml",
                "move it to rancher-compose.yml",
            )
        elif key in LATER:
            reading.fault(value, "rancher-compose refuses it: unsupported", LATER[key])
        else:
            known[key] = value
    hold(reading, known, SERVICE, "rancher-compose refuses it: unsupported")
    if "image" not in known and "build" not in known:
        reading.fault(service, "has neither image nor build", "give it an image")
    labels.check(reading, labels.read(service))


def _sidekicks(reading: Reading, name: str, service: Value, services: dict[str, Value]) -> None:
    found = labels.read(service).get(labels.SIDEKICKS)
    for each in str(found.scalar).split(",") if found else ():
        if each.strip() not in services or each.strip() == name:
            reading.fault(
                found or service,
                f"there is no other service {each.strip()!r}",
                "name services of this file",
            )
