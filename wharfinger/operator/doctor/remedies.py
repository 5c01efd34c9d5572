"""What is done about a check that is red: for each check of each daemon the command or setting."""

from collections.abc import Mapping
from typing import Final

_REACH_ETCD: Final = (
    "ask its members: `etcdctl --endpoints ... endpoint health`; start the one that is away, or "
    "mend etcd.endpoints, etcd.ca_file, etcd.cert_file"
)
_START_DOCKER: Final = "`systemctl status docker`, and start it; or mend docker.url"
_MORE_WATCHES: Final = (
    "`sysctl -w fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=1048576`"
)

_SHARED: Final[Mapping[str, str]] = {
    "configuration": "`{daemon} check` names key, file and fix; then `systemctl reload {unit}`",
    "control socket": (
        "make room in host.runtime_dir (`df /run`), or name a group that there is in "
        "host.control_group"
    ),
    "etcd certificate": (
        "`wharfinger pki renew` on the authority, and put the pair at etcd.cert_file and "
        "etcd.key_file: no restart is needed"
    ),
}
# A check that goes by a name of the user's stands here by what is before that name.
_OWN: Final[Mapping[str, Mapping[str, str]]] = {
    "registrar": {
        "address": "write host.ip, host.interface or host.cidr (`ip address` shows what there is)",
        "docker": _START_DOCKER,
        "etcd lease": (
            f"{_REACH_ETCD}; if another machine has this host's name, give it another in host.name"
        ),
        "mass loss": (
            "is it the engine that started them? `docker info --format '{{{{.DockerRootDir}}}}'`; "
            "put its data root back, or end what listens (`ss -ltnp`)"
        ),
        "orders": (
            f"{_REACH_ETCD}; or let its user read and write /wharfinger/orders "
            "(`wharfinger pki users`), or set registrar.orders = false"
        ),
        "ports": (
            "make room in host.state_dir (`df`), remove containers that are stopped (`docker "
            "container prune`), or widen registrar.port_range"
        ),
        "registry": f"{_REACH_ETCD}; or let its user write the service (`wharfinger pki users`)",
    },
    "discovery": {
        "certificates": "put a pair that fits into discovery.nginx.tls_dir; the one before serves",
        "child": "run the command of discovery.exec by hand, and mend what it says",
        "etcd watch": f"{_REACH_ETCD}; or let its user read the keys (`wharfinger pki users`)",
        "host lease": f"{_REACH_ETCD}; Nginx serves on meanwhile",
        "nginx push": (
            "install Nginx's Lua module (`apt-get install libnginx-mod-http-lua`), or set "
            'discovery.nginx.mode = "auto"'
        ),
        "resource": (
            "mend what the output says (`nginx -t` for Nginx, or the resource's check_cmd); "
            "meanwhile `discovery rollback {name}`"
        ),
        "resource files": "`discovery check` names each mistake in discovery.confdir",
    },
    "logshipper": {
        "certificate expiry": (
            "`wharfinger pki renew` on the authority, and put the pair at the sink's cert_file and "
            "key_file, or where its server has its own: no restart is needed"
        ),
        "certificates": (
            "put files that fit at ca_file, cert_file and key_file of sink {name} (`logshipper "
            "check` tries them); those before serve"
        ),
        "checkpoint": "make room in host.state_dir (`df`), or mend its disk and its rights",
        "containers folder": (
            "let the log shipper read it (its unit has what that takes: `systemctl cat {unit}`), "
            "or mount it into its container"
        ),
        "dead letters": (
            "`logshipper dead-letter list --sink {name}`, mend what it refuses, and `replay`; "
            "make room in host.state_dir (`df`)"
        ),
        "docker": _START_DOCKER,
        "inotify": _MORE_WATCHES,
        "inotify of files": _MORE_WATCHES,
        "lag": (
            "mend the sink that is named; or give it more (`requests` of [[logshipper.sinks]]), or "
            "thin the log out (label wharfinger.logs.sample or .rate)"
        ),
        "log files": "`systemctl status docker`, `docker logs` of the container that is named",
        "loss": (
            "let Docker keep more (log-opts max-size and max-file in /etc/docker/daemon.json), or "
            "raise logshipper.spool_bytes; green after logshipper.loss_alarm_seconds"
        ),
        "sink": (
            "start it, or mend its url, token_file and ca_file in [[logshipper.sinks]]; "
            "`logshipper check` tries it"
        ),
        "spool": "make room in host.state_dir (`df`), or lower logshipper.spool_bytes",
    },
    "logstore": {
        "audit": "make room for logstore.audit_file, or mend its folder's rights",
        "back end": "start it, or mend logstore.backend.url and what it is shown there",
        "certificate": "put a pair that fits at logstore.cert_file and logstore.key_file",
        "certificate expiry": (
            "`wharfinger pki renew` on the authority, and put the pair at logstore.cert_file and "
            "logstore.key_file: no restart is needed"
        ),
        "day files": "`logstore check --data` names what is damaged, `logstore repair` mends it",
        "disk": (
            "make room in logstore.data_dir (`df`), lower logstore.retention_bytes, or mend its "
            "rights"
        ),
        "file watch": "does the disk of its token files and certificates answer? (`ls`, `dmesg`)",
        "fleet": (
            f"{_REACH_ETCD}; or let its user read /wharfinger/ (`wharfinger pki users`), or set "
            "logstore.fleet.enabled = false"
        ),
        "retention": (
            "set the clock right (`timedatectl`); or raise logstore.retention_bytes, where there "
            "is more than it allows"
        ),
        "token files": "`logstore check` names file and line; what was read before it still counts",
        "writer": "does the disk of logstore.data_dir answer? (`dmesg`, `iostat -x 1`)",
    },
}


def remedy(daemon: str, check: str) -> str:
    """The command or setting that mends it; empty where none is known.

    Args:
        daemon: whose check.
        check: its name, as `/healthz` tells it.
    """
    known = {**_SHARED, **_OWN.get(daemon, {})}
    if check in known:
        kind, name = check, ""
    else:
        # The longest: `resource files` is no resource of that name.
        kinds = [kind for kind in known if check.startswith(f"{kind} ")]
        kind = max(kinds, key=len, default="")
        name = check[len(kind) + 1 :]
    unit = f"wharfinger-{daemon}"
    return known[kind].format(daemon=daemon, unit=unit, name=name) if kind else ""
