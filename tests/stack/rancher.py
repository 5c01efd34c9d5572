"""Rancher 1.6 as far as rancher-compose asks it (API v2-beta), strict, and what it was told.

It refuses what Rancher refuses, and unknown fields as well, which Rancher would drop: what is
posted here is to be understood whole.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Body = dict[str, Any]
TEXT, NUMBER, FLAG, TEXTS, MAP = str, int, bool, list, dict

LAUNCH: Mapping[str, type] = {
    "imageUuid": TEXT,
    "networkMode": TEXT,
    "pidMode": TEXT,
    "ipcMode": TEXT,
    "kind": TEXT,
    "user": TEXT,
    "workingDir": TEXT,
    "hostname": TEXT,
    "stopSignal": TEXT,
    "privileged": FLAG,
    "readOnly": FLAG,
    "stdinOpen": FLAG,
    "tty": FLAG,
    "startOnCreate": FLAG,
    "command": TEXTS,
    "entryPoint": TEXTS,
    "capAdd": TEXTS,
    "capDrop": TEXTS,
    "dataVolumes": TEXTS,
    "dataVolumesFromLaunchConfigs": TEXTS,
    "ports": TEXTS,
    "securityOpt": TEXTS,
    "environment": MAP,
    "labels": MAP,
    "healthCheck": MAP,
    "logConfig": MAP,
    "restartPolicy": MAP,
    "memory": NUMBER,
    "blkioWeight": NUMBER,
    "secrets": TEXTS,
    "vcpu": NUMBER,
    "type": TEXT,
}
SERVICE: Mapping[str, type] = {
    "name": TEXT,
    "stackId": TEXT,
    "scale": NUMBER,
    "launchConfig": MAP,
    "metadata": MAP,
    "assignServiceIpAddress": FLAG,
    "startOnCreate": FLAG,
    "healthCheck": MAP,
    "type": TEXT,
}
HEALTH: Mapping[str, type] = {
    "port": NUMBER,
    "requestLine": TEXT,
    "interval": NUMBER,
    "responseTimeout": NUMBER,
    "initializingTimeout": NUMBER,
    "reinitializingTimeout": NUMBER,
    "healthyThreshold": NUMBER,
    "unhealthyThreshold": NUMBER,
    "strategy": TEXT,
    "type": TEXT,
}
STRATEGY: Mapping[str, type] = {
    "batchSize": NUMBER,
    "intervalMillis": NUMBER,
    "startFirst": FLAG,
    "launchConfig": MAP,
    "previousLaunchConfig": MAP,
    "secondaryLaunchConfigs": TEXTS,
    "type": TEXT,
}
ACTIONS = {
    "active": ("upgrade", "deactivate", "setservicelinks"),
    "inactive": ("activate", "upgrade", "setservicelinks"),
    "upgraded": ("finishupgrade", "rollback", "setservicelinks"),
}
NEXT = {
    "activate": "active",
    "deactivate": "inactive",
    "upgrade": "upgraded",
    "finishupgrade": "active",
    "rollback": "active",
}


@dataclass(slots=True)
class FakeRancher:
    """The server's state.

    Attributes:
        url: of its API, as RANCHER_URL says it.
        posted: each request that changes something: what it is about, and its body.
        services: by id.
        stacks: by id.
    """

    url: str = ""
    posted: list[tuple[str, Body]] = field(default_factory=list)
    services: dict[str, Body] = field(default_factory=dict)
    stacks: dict[str, Body] = field(default_factory=dict)

    def application(self) -> web.Application:
        """Its routes."""
        application = web.Application(middlewares=[_refusals])
        application.add_routes(
            [
                web.get("/v2-beta", self._root),
                web.get("/v2-beta/schemas", self._schemas),
                web.post("/v2-beta/scripts/transform", self._transform),
                web.get("/v2-beta/settings/{id}", self._setting),
                web.get("/v2-beta/serviceconsumemaps", self._nothing),
                web.get("/v2-beta/{kind:stacks|services}", self._list),
                web.post("/v2-beta/stacks", self._create_stack),
                web.post("/v2-beta/services", self._create_service),
                web.get("/v2-beta/services/{id}", self._get_service),
                web.put("/v2-beta/services/{id}", self._update_service),
                web.post("/v2-beta/services/{id}", self._act),
            ]
        )
        return application

    async def _root(self, _request: web.Request) -> web.Response:
        return self._json({"type": "apiVersion", "id": "v2-beta"})

    async def _schemas(self, _request: web.Request) -> web.Response:
        plural = {
            "stack": "stacks",
            "service": "services",
            "setting": "settings",
            "serviceConsumeMap": "serviceconsumemaps",
        }
        several = [
            {
                "id": kind,
                "type": "schema",
                "pluralName": name,
                "collectionMethods": ["GET", "POST"],
                "resourceMethods": ["GET", "PUT", "DELETE"],
                "links": {"collection": f"{self.url}/{name}"},
            }
            for kind, name in plural.items()
        ]
        links = {"self": f"{self.url}/schemas"}
        return self._json({"type": "collection", "data": several, "links": links})

    async def _transform(self, request: web.Request) -> web.Response:
        """What Docker's inspect would say of a container, as a launch configuration."""
        body = await request.json()
        inspected = filled(body)
        self.posted.append((f"transform {inspected['Name'].lstrip('/')}", inspected))
        return self._json(launch_of(inspected))

    async def _setting(self, request: web.Request) -> web.Response:
        return self._json({"type": "setting", "id": request.match_info["id"], "value": ""})

    async def _nothing(self, _request: web.Request) -> web.Response:
        return self._json({"type": "collection", "data": []})

    async def _list(self, request: web.Request) -> web.Response:
        held = self.stacks if request.match_info["kind"] == "stacks" else self.services
        wanted = {key: value for key, value in request.query.items() if key != "removed_null"}
        found = [
            self._shown(each)
            for each in held.values()
            if all(each.get(key) == value for key, value in wanted.items())
        ]
        return self._json({"type": "collection", "data": found})

    async def _create_stack(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.posted.append(("create stack", {"name": body["name"]}))
        stack = {"type": "stack", "id": f"1st{len(self.stacks) + 1}", "name": body["name"]}
        self.stacks[stack["id"]] = stack
        return self._json(self._shown(stack), status=201)

    async def _create_service(self, request: web.Request) -> web.Response:
        body = filled(await request.json())
        _service(body)
        if body["stackId"] not in self.stacks:
            raise _refusal("InvalidReference", "stackId")
        self.posted.append((f"create {body['name']}", body))
        service = {**body, "type": "service", "id": f"1s{len(self.services) + 1}"}
        service["state"] = "inactive"
        self.services[service["id"]] = service
        return self._json(self._shown(service), status=201)

    async def _get_service(self, request: web.Request) -> web.Response:
        return self._json(self._shown(self._held(request)))

    async def _update_service(self, request: web.Request) -> web.Response:
        service, body = self._held(request), filled(await request.json())
        self.posted.append((f"update {service['name']}", body))
        service |= {key: body[key] for key in ("scale", "metadata") if key in body}
        return self._json(self._shown(service))

    async def _act(self, request: web.Request) -> web.Response:
        service, action = self._held(request), request.query.get("action", "")
        body = filled(json.loads(await request.text() or "null"))
        if action not in ACTIONS[service["state"]]:
            raise _refusal("InvalidState", f"{action} while {service['state']}")
        if action == "upgrade":
            _upgrade(body)
            service["former"] = service["launchConfig"]
            strategy = body["inServiceStrategy"]
            service["launchConfig"] = strategy.get("launchConfig", service["launchConfig"])
        elif action == "rollback":
            service["launchConfig"] = service.pop("former")
        if action != "setservicelinks":
            self.posted.append((f"{action} {service['name']}", body or {}))
        service["state"] = NEXT.get(action, service["state"])
        return self._json(self._shown(service))

    def _held(self, request: web.Request) -> Body:
        found = self.services.get(request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound
        return found

    def _shown(self, resource: Body) -> Body:
        kind = {"stack": "stacks", "service": "services"}[resource["type"]]
        at = f"{self.url}/{kind}/{resource['id']}"
        actions = ACTIONS.get(resource.get("state", ""), ())
        return {
            **{key: value for key, value in resource.items() if key != "former"},
            "transitioning": "no",
            "links": {"self": at},
            "actions": {action: f"{at}?action={action}" for action in actions},
        }

    def _json(self, body: Body, *, status: int = 200) -> web.Response:
        return web.json_response(
            body, status=status, headers={"X-API-Schemas": f"{self.url}/schemas"}
        )


CONFIG = {
    "Cmd": "command",
    "Entrypoint": "entryPoint",
    "User": "user",
    "WorkingDir": "workingDir",
    "Hostname": "hostname",
    "StopSignal": "stopSignal",
    "Labels": "labels",
}
HOST_CONFIG = {
    "Binds": "dataVolumes",
    "CapAdd": "capAdd",
    "CapDrop": "capDrop",
    "SecurityOpt": "securityOpt",
    "PidMode": "pidMode",
    "Privileged": "privileged",
    "ReadonlyRootfs": "readOnly",
}


def launch_of(inspected: Body) -> Body:
    """The launch configuration of a container as Docker's inspect shows one; all of it."""
    config = dict(inspected["Config"])
    launch: Body = {
        "type": "launchConfig",
        "imageUuid": f"docker:{config.pop('Image')}",
        "logConfig": {},
    }
    if variables := config.pop("Env", None):
        launch["environment"] = dict(each.split("=", 1) for each in variables)
    for names, given in ((CONFIG, config), (HOST_CONFIG, inspected.get("HostConfig", {}))):
        for key, value in given.items():
            if key not in names:
                raise _refusal("NotUnderstood", key)
            launch[names[key]] = value
    return launch


def filled(value: Any) -> Any:
    """Without what stands at nothing: Go writes every field."""
    if isinstance(value, dict):
        kept = {key: filled(each) for key, each in value.items()}
        empty = (None, "", 0, False, [], {}, [0, 0])
        return {key: each for key, each in kept.items() if each not in empty}
    return value


@web.middleware
async def _refusals(request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
    try:
        answer: web.StreamResponse = await handler(request)
    except (KeyError, TypeError, ValueError) as error:
        raise _refusal("InvalidBodyContent", repr(error)) from error
    return answer


def _refusal(code: str, what: str) -> web.HTTPUnprocessableEntity:
    told = {"type": "error", "status": 422, "code": code, "fieldName": what, "message": what}
    return web.HTTPUnprocessableEntity(text=json.dumps(told), content_type="application/json")


def _hold(body: Body, fields: Mapping[str, type], where: str) -> None:
    for name, value in body.items():
        if name not in fields:
            raise _refusal("InvalidOption", f"{where}.{name}")
        if not isinstance(value, fields[name]) or (
            isinstance(value, bool) and fields[name] is not bool
        ):
            raise _refusal("InvalidType", f"{where}.{name}")


def _service(body: Body) -> None:
    _hold(body, SERVICE, "service")
    _launch(body["launchConfig"])


def _launch(body: Body) -> None:
    _hold(body, LAUNCH, "launchConfig")
    if not body["imageUuid"].startswith("docker:"):
        raise _refusal("InvalidFormat", "imageUuid")
    for name in ("labels", "environment"):
        for key, value in body.get(name, {}).items():
            if not isinstance(value, str):
                raise _refusal("InvalidType", f"launchConfig.{name}.{key}")
    if health := body.get("healthCheck"):
        _hold(health, HEALTH, "healthCheck")
        if not 0 < health["port"] < 2**16:
            raise _refusal("InvalidOption", "healthCheck.port")


def _upgrade(body: Body) -> None:
    strategy = body["inServiceStrategy"]
    _hold(strategy, STRATEGY, "inServiceStrategy")
    if "launchConfig" in strategy:
        _launch(strategy["launchConfig"])


@contextmanager
def serving() -> Iterator[FakeRancher]:
    """The server on a free port of loopback, in a thread: what asks it may block."""
    rancher, loop = FakeRancher(), asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(rancher.application())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        rancher.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v2-beta"
        return runner

    runner = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, name="fake rancher")
    thread.start()
    try:
        yield rancher
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
