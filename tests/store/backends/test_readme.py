"""What the README says of other back ends can be pasted as it stands."""

import json
import re
from pathlib import Path

import pytest

from logshipper.store.config import Config
from logshipper.store.query.backends import mapping
from tests.store.backends.conftest import TYPES
from wharfinger.config import load

README = Path(__file__).parents[3] / "logshipper" / "store" / "README.md"
SECTION = re.search(
    r"^## Other back ends\n(.*?)(?:^## |\Z)", README.read_text(), re.DOTALL | re.MULTILINE
)
assert SECTION is not None
BLOCKS = re.findall(r"^```toml\n(.*?)^```", SECTION[1], re.DOTALL | re.MULTILINE)
TEMPLATES = re.findall(r"^```json\n(.*?)^```", SECTION[1], re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("whole", [False, True])
def test_a_block_is_a_configuration(tmp_path: Path, block: str, whole: bool) -> None:
    path = tmp_path / "w.toml"
    path.write_text(block.replace("# tenants", "tenants") if whole else block)
    backend = load(Config, path=path, environment={}).value.logstore.backend
    assert backend.type != "embedded"
    assert bool(backend.tenants) == whole


def test_the_template_makes_types_that_can_be_asked() -> None:
    [template] = map(json.loads, TEMPLATES)
    properties = template["template"]["mappings"]["properties"]
    types = {name: said["type"] for name, said in properties.items()}
    assert types == {name: kind for name, kind in TYPES.items() if name in types}
    assert set(types) >= {mapping.TIME, mapping.MESSAGE, *mapping.LABELS}
    fields = {name: {kind: {"aggregatable": kind != "text"}} for name, kind in types.items()}
    assert list(mapping.findings(mapping.read({"fields": fields}), "logs-containers-*")) == []
