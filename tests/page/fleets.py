"""States of a fleet, as the store tells of them: calm, in trouble, large."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from tests.page.browsing import moment

State = dict[str, Any]


def ago(seconds: float) -> str:
    return moment(datetime.now(UTC) - timedelta(seconds=seconds))


def instance(service: str, endpoint: str, host: str, **fields: Any) -> State:
    ip, port = endpoint.rsplit(":", 1)
    app = service.rpartition("_")[0]
    return {
        "key": f"/{service}/{ip}-{port}",
        "host": host,
        "container": sha256(f"{service} {endpoint}".encode()).hexdigest(),
        "name": f"{app}-{port}",
        "image": f"registry.example/{app}:1.4.2",
        "version": "1.4.2",
        "weight": 1,
        "tags": [],
        "http_host": "",
        "http_path": "",
        "started": ago(7200),
        "state": "up",
        **fields,
    }


def service(app: str, env: str, hosts: Mapping[str, int], **fields: Any) -> State:
    """A service with so many instances on each host."""
    key = f"{app}_{env}"
    instances = {}
    for host, count in hosts.items():
        for number in range(count):
            endpoint = (
                f"10.0.0.{host.removeprefix('box')}:{20000 + sum(map(ord, key)) % 500 + number}"
            )
            instances[endpoint] = instance(key, endpoint, host, **fields)
    return {"app": app, "env": env, "instances": instances}


def daemon(**fields: Any) -> State:
    return {"version": "1.2.0", "since": ago(86_400), "health": "healthy", "troubles": [], **fields}


def host(number: int, **fields: Any) -> State:
    daemons = {
        "registrar": daemon(),
        "discovery": daemon(applied_revision=1200),
        "logshipper": daemon(),
    }
    return {
        "ip": f"10.0.0.{number}",
        "drained": False,
        "daemons": daemons,
        "drains": [],
        "unregistered": [],
        **fields,
    }


def calm() -> State:
    """Three hosts and two services, of which nobody has to think."""
    return {
        "revision": 1200,
        "time": ago(40),
        "stale": None,
        "may_drain": False,
        "services": {
            "shop_prod": service("shop", "prod", {"box1": 2, "box2": 2}),
            "cart_prod": service("cart", "prod", {"box2": 1, "box3": 1}),
        },
        "hosts": {f"box{n}": host(n) for n in (1, 2, 3)},
        "releases": {},
        "orders": {},
        "rejected": [],
    }


def troubled() -> State:
    """A night on which somebody is woken up."""
    fleet = calm()
    services = fleet["services"] = {
        "shop_prod": service("shop", "prod", {"box1": 3, "box2": 3, "box5": 2}),
        "shop_stage": service("shop", "stage", {"box4": 2}, version="1.5.0-rc1"),
        "cart_prod": service("cart", "prod", {"box2": 2, "box3": 2}),
        "mail_prod": service("mail", "prod", {"box3": 1}, version="", tags=["smtp", "internal"]),
        "search_prod": service("search", "prod", {"box1": 1, "box4": 1}, state="starting"),
        "pay.api_prod": service("pay.api", "prod", {"box1": 2, "box4": 2, "box5": 2}, weight=10,
                                http_host="pay.example.com", http_path="/api", tags=["blue"]),
    }  # fmt: skip
    canary = next(iter(services["shop_prod"]["instances"].values()))
    canary.update(version="1.4.3", image="registry.example/shop:1.4.3", started=ago(300))
    next(iter(services["cart_prod"]["instances"].values()))["state"] = "starting"
    hosts = fleet["hosts"] = {f"box{n}": host(n) for n in range(1, 7)}
    hosts["box2"]["daemons"]["registrar"] |= {
        "health": "unhealthy", "troubles": ["etcd watch: nothing heard for 31 s"]
    }  # fmt: skip
    hosts["box5"]["daemons"]["logshipper"] |= {
        "health": "unhealthy",
        "troubles": ["sink store: lags by 312 MiB", "spool: 91 % of its bytes are used"],
    }
    hosts["box5"]["daemons"]["logshipper"]["version"] = "1.1.9"
    hosts["box3"]["unregistered"] = [
        {"name": "batch-7", "reason": "its check fails: HTTP 503 on /healthz"},
        {"name": "old-cron", "reason": "label wharfinger.app: 'a/b' holds a slash"},
    ]
    hosts["box6"]["drained"] = True
    hosts["box6"]["drains"] = [
        drain("shop_prod", "10.0.0.6:20031", "shop-20031"),
        drain("legacy_prod", "10.0.0.6:20077", "legacy-20077"),
    ]
    fleet["releases"] = {
        "shop_prod": [
            release("r12", "shop", "running", 300), release("r11", "shop", "succeeded", 90_000)
        ],
        "mail_prod": [
            release("r4", "mail", "rolled back", 5_000, why="2 of 3 checks failed after 60 s"),
            release("r3", "mail", "succeeded", 400_000, verb="down"),
        ],
    }  # fmt: skip
    fleet["orders"] = {
        "a1": order("drain", "box6", "done", ["removed 2 keys", "every discovery confirmed"]),
        "a2": order("drain", "/cart_prod/10.0.0.3-20210", "failed",
                    ["removed", "discovery on box2 lags"], host="box3"),
    }  # fmt: skip
    fleet["rejected"] = [
        {"key": "/shop_prod/10.0.0.9-x", "reason": "'x' is no port"},
    ]
    return fleet


def drain(service_: str, endpoint: str, name: str) -> State:
    ip, port = endpoint.rsplit(":", 1)
    key = f"/{service_}/{ip}-{port}"
    return {
        "key": key, "endpoint": endpoint, "service": service_, "name": name, "since": ago(3_600)
    }  # fmt: skip


def release(number: str, app: str, state: str, seconds_ago: float, **fields: Any) -> State:
    digest = f"sha256:{sha256(f'{app}{number}'.encode()).hexdigest()}"
    return {
        "release": number, "image": f"registry.example/{app}", "digest": digest, "state": state,
        "at": ago(seconds_ago), "by": "ann", **fields,
    }  # fmt: skip


def order(verb: str, target: str, state: str, steps: list[str], *, host: str = "box6") -> State:
    return {
        "verb": verb, "target": target, "host": host, "state": state, "steps": steps,
        "by": "ann", "at": ago(900),
    }  # fmt: skip


def large(services: int = 500, instances: int = 100, hosts: int = 1_000) -> State:
    """As many instances as a fleet may have, spread over its hosts."""
    fleet = calm()
    fleet["hosts"] = {f"box{n}": host(n % 250) for n in range(1, hosts + 1)}
    fleet["services"] = {}
    for number in range(services):
        key = f"app{number:03d}_prod"
        held = {}
        for n in range(instances):
            at = (number * instances + n) % hosts + 1
            endpoint = f"10.{at // 250}.{at % 250}.1:{20_000 + (number * instances + n) // hosts}"
            held[endpoint] = instance(key, endpoint, f"box{at}")
        fleet["services"][key] = {"app": f"app{number:03d}", "env": "prod", "instances": held}
    return fleet
