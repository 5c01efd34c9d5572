"""The text of a wharf.yaml as an application, or everything that is wrong with it at once."""

from typing import Final

from deploy.release import yamllines
from deploy.release.app import combinations, environments, kinds
from deploy.release.app.fields import FILE
from deploy.release.app.model import App
from deploy.release.yamllines import Fault, Reading, Value
from wharfinger.errors import ConfigError, Finding

NAME: Final = "wharf.yaml"


def parse(text: str, file: str = NAME) -> App:
    """Reads the text of a wharf.yaml.

    Args:
        text: of the file.
        file: its name, as messages have it.

    Raises:
        ConfigError: it cannot be used; every fault, with line and fix.
    """
    reading = yamllines.read(file, text)
    # What stands in a file that YAML itself does not read says nothing.
    read = (
        None
        if reading.faults and not reading.top.entries
        else kinds.note(reading.top, reading, FILE)
    )
    if read is None:
        raise refusal(reading.faults)
    app = environments.resolved(read[0])
    for problem in combinations.problems(read[0], app):
        _note(reading, problem.keys, problem.problem, problem.fix)
    if reading.faults:
        raise refusal(reading.faults)
    return app


def refusal(faults: list[Fault]) -> ConfigError:
    """The faults in the order of their lines."""
    ordered = sorted(dict.fromkeys(faults), key=lambda fault: (fault.line, fault.where))
    return ConfigError(
        Finding(
            f"{fault.file}:{fault.line}" + (f": {fault.where}" if fault.where else ""),
            fault.problem,
            fault.fix,
        )
        for fault in ordered
    )


def _note(reading: Reading, keys: tuple[str | int, ...], problem: str, fix: str) -> None:
    """Notes what is wrong at some keys, or at the deepest of them that is there.

    Where a value was refused already, the default stands in its place, and says nothing.
    """
    at: Value = reading.top
    for key in keys:
        below = _below(at, key)
        if below is None:
            break
        at = below
    if not any(f"{fault.where}.".startswith(f"{at.where}.") for fault in reading.faults):
        reading.fault(at, problem, fix)


def _below(at: Value, key: str | int) -> Value | None:
    if isinstance(key, int):
        items = at.items or ()
        return items[key] if key < len(items) else None
    return (at.entries or {}).get(key)
