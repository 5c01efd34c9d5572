"""What editors are told agrees with what is read."""

import json
from typing import Any

import jsonschema
import pytest
import yaml

from deploy.release.app import beginning
from deploy.release.app.schema import schema, text
from tests.release.app.test_parsing import CASES, GOOD, SMALL, Case

VALIDATOR = jsonschema.Draft7Validator(schema())
# What only `deploy` knows: combinations, and what a grammar cannot say.
BEYOND = (
    *("is out of bounds", "holds no ports", "has a tag", "names no registry", "is no repository"),
    *("leads out", "the path '/a/../b'", "is not a host's name", "means something else"),
    *("is less than", "is a tag that pushes", "compose runs on one host"),
    *("carries the port", "is a variable, too", "is where secrets are", "is mounted twice"),
    *("the registrar tells", "is more than max", "is not from 1 to 2", "goes by nothing"),
    *("is itself", "there is no", "itself mirrors", "comes from production"),
    *("pre does not come before", "Rancher is not asked", "there is one on each host"),
    *("Rancher has no service", "a stack of Rancher", "is written"),
    *("a Swarm", "is written by", "is there twice", "is read as a date", "is build.layer's"),
    "the port is fixed",
    *("not the same in all", "has a character in it"),
)


def errors(content: Any) -> list[str]:
    return [each.message for each in VALIDATOR.iter_errors(content)]


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(schema())
    assert json.loads(text()) == schema()


@pytest.mark.parametrize("content", [GOOD, SMALL, beginning.text("shop", "a.b/shop", "java")])
def test_it_takes_what_is_read(content: str) -> None:
    assert errors(yaml.safe_load(content)) == []


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if not any(words in case.told for words in BEYOND)],
    ids=lambda case: case.instead[:40],
)
def test_it_refuses_keys_types_and_grammars_as_reading_does(case: Case) -> None:
    assert errors(yaml.safe_load(GOOD.replace(case.there, case.instead, 1)))


def test_each_key_has_a_sentence_for_people() -> None:
    def look(at: dict[str, Any]) -> int:
        properties = at.get("properties", {})
        for key, each in properties.items():
            assert each["description"].endswith("."), key
        below = [*properties.values(), at.get("additionalProperties")]
        return len(properties) + sum(look(each) for each in below if isinstance(each, dict))

    assert look(schema()) > 50
