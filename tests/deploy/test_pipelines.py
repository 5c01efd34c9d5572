"""The two pipelines for applications: valid, and the same steps in the same order."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.release.cli import command_line

CI = Path(__file__).resolve().parents[2] / "deploy" / "ci"
GITLAB = CI / "gitlab-ci.yml"
GITHUB = CI / "github-workflow.yml"
GATING = ("unit", "ruff", "bandit", "hadolint", "secrets")


def schema_says(path: Path, *schema: str) -> subprocess.CompletedProcess[str]:
    """Asks the published schema that check-jsonschema carries."""
    command = [sys.executable, "-m", "check_jsonschema", *schema, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        (GITLAB, ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")),
        (GITHUB, ("--builtin-schema", "vendor.github-workflows")),
    ],
    ids=["gitlab", "github"],
)
def test_it_is_what_the_published_schema_takes(
    path: Path, schema: tuple[str, ...], tmp_path: Path
) -> None:
    done = schema_says(path, *schema)
    assert done.returncode == 0, done.stdout
    # The same with a fault in it: the schema is one that can say no.
    broken = tmp_path / path.name
    broken.write_text(path.read_text().replace("needs:", "neeeds:"))
    assert schema_says(broken, *schema).returncode == 1


def gitlab() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(GITLAB.read_text())
    return document


def github() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(GITHUB.read_text())
    return document


def deploying(text: str) -> list[str]:
    """Each call of `deploy` in it, without what differs between the two."""
    calls = re.findall(r"(?:^|\|\| |&& |- )(deploy [^\n&|]*)", text, re.MULTILINE)
    return [re.sub(r'"[^"]*"|\$\S+', "X", call).strip() for call in calls]


def of_gitlab(*jobs: str) -> list[str]:
    lines = [line for job in jobs for line in gitlab()[job]["script"]]
    return deploying("\n".join(lines))


def of_github(*jobs: str) -> list[str]:
    steps = [step for job in jobs for step in github()["jobs"][job]["steps"]]
    return deploying("\n".join(step.get("run", "") for step in steps))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("unit",), ("unit",)),
        (("build",), ("build",)),
        (("integration", "acceptance"), ("integration",)),
        (("pre", "smoke"), ("pre",)),
        (("failure",), ("failure",)),
    ],
)
def test_both_do_the_same(ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    assert of_gitlab(*ours)
    assert of_gitlab(*ours) == of_github(*theirs)


def test_nothing_is_built_before_every_check_has_passed() -> None:
    assert set(gitlab()["build"]["needs"]) == set(GATING)
    for check in GATING:
        job = gitlab()[check]
        assert not job.get("allow_failure")
        assert job["script"][-1].startswith(f"deploy report {check} ")
        assert job["script"][-1].endswith("--dry-run")
    assert set(github()["jobs"]["build"]["needs"]) == {"unit", "scan"}
    matrix = github()["jobs"]["scan"]["strategy"]["matrix"]["include"]
    assert {each["check"] for each in matrix} == set(GATING) - {"unit"}


def test_both_scan_with_the_same_commands() -> None:
    for each in github()["jobs"]["scan"]["strategy"]["matrix"]["include"]:
        assert gitlab()[each["check"]]["script"][0] == f"{each['command']} || true"


def test_each_environment_is_touched_by_its_own_runner_alone() -> None:
    tags = {"integration": "integration", "acceptance": "integration", "pre": "pre"}
    tags |= {"smoke": "pre", "production": "production", "report": "production"}
    for job, place in tags.items():
        assert gitlab()[job]["tags"] == [f"wharf-{place}"]
    for job in ("integration", "pre", "production"):
        assert github()["jobs"][job]["runs-on"] == ["self-hosted", f"wharf-{job}"]


def test_what_a_merge_request_brings_runs_where_there_are_no_rights() -> None:
    default = gitlab()["default"]["tags"]
    main = "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"
    jobs = {name: job for name, job in gitlab().items() if "script" in job}
    assert len(jobs) > len(GATING)
    for name, job in jobs.items():
        rules = job.get("rules", [])
        released = ".main" in job.get("extends", ()) or [rule["if"] for rule in rules] == [main]
        assert (job.get("tags", default) == ["wharf-test"]) == (not released), name
    for name, job in github()["jobs"].items():
        after = "build" in job.get("needs", ()) and "failure()" not in job.get("if", "")
        released = after or "github.event_name == 'push'" in job.get("if", "")
        assert ("wharf-test" in job["runs-on"]) == (not released), name


def test_production_waits_for_a_person() -> None:
    (rule,) = gitlab()["production"]["rules"]
    assert rule["when"] == "manual"
    assert github()["jobs"]["production"]["environment"] == "production"


def test_the_command_takes_every_call_of_either() -> None:
    calls = of_gitlab(*(name for name, job in gitlab().items() if "script" in job))
    steps = [step for job in github()["jobs"].values() for step in job["steps"]]
    filled = [re.sub(r"\$\{\{.*?\}\}", "unit", step.get("run", "")) for step in steps]
    calls += deploying("\n".join(filled))
    assert len(calls) > 20
    for call in calls:
        words = shlex.split(call.partition(" > ")[0])[1:]
        # What a variable holds here is a digest, or words that may be anything.
        given = [f"sha256:{'0' * 64}" if word == "X" else word for word in words]
        assert command_line().parse_args(given).verb == words[0], call
