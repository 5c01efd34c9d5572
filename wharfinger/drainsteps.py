"""The steps of a drain in words, for whoever follows it: in a terminal, in etcd; pure."""

from collections.abc import Mapping
from typing import Any

from wharfinger.text import quantity


def described(step: Mapping[str, Any]) -> tuple[str, str]:
    """A step in words: what is done, and what is waited for; either may be empty."""
    done = waiting = ""
    match step:
        case {"step": "removed", "instances": []}:
            done = "nothing of it is in etcd"
        case {"step": "removed", "instances": list(keys)}:
            done = f"removed from etcd: {', '.join(map(str, keys))}"
        case {"step": "acknowledged", "waiting_for": []}:
            done = "every discovery serves without it"
        case {"step": "acknowledged", "waiting_for": list(hosts)}:
            waiting = f"waiting for discovery on {', '.join(map(str, hosts))}"
        case {"step": "in flight", "connections": int(count)}:
            waiting = f"waiting for requests in flight: {quantity(count, 'connection')}"
        case {"step": "undrained", "was_drained": was}:
            done = "no longer drained" if was else "it was not drained"
        case {"step": "registered", "instances": list(keys)}:
            done = f"in etcd: {', '.join(map(str, keys)) or 'nothing'}"
        case {"step": "done"}:
            absent = step.get("not_registered") or {}
            rows = (f"not registered: {str(key)[:12]} {why}" for key, why in absent.items())
            done = "\n".join(["done", *rows])
    return done, waiting
