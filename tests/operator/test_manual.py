"""The manual and the completion: each verb, flag and setting that there is, and nothing by hand."""

import argparse
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wharfinger.errors import Exit
from wharfinger.operator.cli import main
from wharfinger.operator.manual import commandpage, completion, pages, roff
from wharfinger.sample import sample, sections
from wharfinger.schema import Section, fields

PARSERS = pages.parsers()
PAGES = pages.pages()
SPECIAL = ("\\-", "\\(aq", "\\(dq", "\\(rs", "\\(ti", "\\(ha", "\\(ga")


def every(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for verb in commandpage.verbs(parser).values():
        yield from every(verb)


def shown(page: str) -> str:
    """A page without what roff needs."""
    plain = re.sub(r"\\f[BIR]", "", page)
    for written, text in zip(SPECIAL, "-'\"\\~^`", strict=True):
        plain = plain.replace(written, text)
    return plain.replace("\\&", "")


@pytest.mark.parametrize("name", commandpage.PAGES)
def test_each_verb_and_each_flag_is_in_the_manual(name: str) -> None:
    page = shown(PAGES[f"{name}.8"])
    lines = page.splitlines()
    for parser in every(PARSERS[name]):
        if parser is not PARSERS[name]:
            assert f'.SS "{parser.prog}"' in lines
        for flag in commandpage.flags(parser):
            assert re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", page), flag


def part(name: str, title: str) -> str:
    """What stands below a title of a page."""
    return shown(PAGES[f"{name}.8"]).partition(f".SH {title}\n")[2].partition("\n.SH ")[0]


def test_deploy_has_files_and_exit_codes_of_its_own() -> None:
    files, exits = part("deploy", "FILES"), part("deploy", "EXIT STATUS")
    for path in ("wharf.yaml", "layers.lock", "config.json", "/etc/wharfinger/wharfinger.toml"):
        assert path in files
    for path in ("/run/wharfinger", "/etc/default/wharfinger"):
        assert path not in files
        assert path in part("registrar", "FILES")
    assert "healthcheck" not in exits
    assert "of report, the check did not pass" in " ".join(exits.split())
    assert "healthcheck" in part("registrar", "EXIT STATUS")
    assert "JAVA_HOME" in part("deploy", "ENVIRONMENT")


@pytest.mark.parametrize("name", commandpage.PAGES)
def test_each_exit_code_is_in_the_manual(name: str) -> None:
    told = {int(each) for each in re.findall(r"^(\d+)$", part(name, "EXIT STATUS"), re.MULTILINE)}
    assert told == set(Exit)


@pytest.mark.parametrize("shell", completion.SHELLS)
@pytest.mark.parametrize("name", commandpage.PAGES)
def test_each_verb_and_each_long_flag_is_completed(name: str, shell: str) -> None:
    script = completion.script(PARSERS[name], shell)
    for parser in every(PARSERS[name]):
        for verb in commandpage.verbs(parser):
            assert verb in script
        for flag in commandpage.flags(parser):
            if flag.startswith("--"):
                assert flag in script or f"-l {flag[2:]}" in script, flag


def settings(model: type[Section]) -> Iterator[str]:
    for described in fields(model):
        yield described.name
        for below in filter(None, (described.section, *described.elements)):
            yield from settings(below)


def test_each_setting_of_each_section_is_in_the_manual() -> None:
    page = shown(PAGES["wharfinger.toml.5"])
    for name, model in sections().items():
        assert f'.SS "[{name}]"' in page
        for setting in settings(model):
            assert setting in page
    for header in re.findall(r"^[# ]*(\[\[?[a-z.]+\]\]?)$", sample(), re.MULTILINE):
        assert header in page


@pytest.mark.parametrize("name", PAGES)
def test_groff_has_nothing_to_complain_of(name: str) -> None:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8"], input=PAGES[name].encode(), capture_output=True,
        check=True, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.stderr == b""


def test_bash_takes_what_completes(tmp_path: Path) -> None:
    script = tmp_path / "completion"
    script.write_text(completion.script(PARSERS["wharfinger"], "bash"))
    asked = (
        f". {script}; COMP_WORDS=(wharfinger install --dry); COMP_CWORD=2; COMP_LINE=; "
        "$(complete -p wharfinger | sed 's/.*-F \\([^ ]*\\).*/\\1/') wharfinger --dry install; "
        'echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["--dry-run"]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [(".so /etc/shadow", "\\&.so /etc/shadow"), ("a\\n", "a\\(rsn"), ("'br", "\\(aqbr"),
     ("--x", "\\-\\-x")],
)  # fmt: skip
def test_no_text_is_taken_for_a_request(text: str, escaped: str) -> None:
    assert roff.escaped(text) == escaped
    assert [*roff.verbatim(text)][1].lstrip("\\&") == escaped.lstrip("\\&")


def test_pages_are_the_same_on_every_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert pages.pages() == PAGES


def test_all_of_it_is_written_for_packages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["manual", "--into", str(tmp_path)])
    assert left.value.code == Exit.OK
    written = {str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*") if each.is_file()}
    assert written == set(pages.shared())
    assert {"man/man5/wharfinger.toml.5", "zsh/site-functions/_logstore"} <= written
    with pytest.raises(SystemExit):
        main(["manual", "wharfinger.toml"])
    assert capsys.readouterr().out == PAGES["wharfinger.toml.5"]
    with pytest.raises(SystemExit) as left:
        main(["manual", "nonsense"])
    assert left.value.code == Exit.USAGE
