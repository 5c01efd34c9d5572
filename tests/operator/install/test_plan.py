"""From what is there to the steps: tables of hosts, and what must come before what."""

from dataclasses import replace
from typing import Any

import pytest

from wharfinger.errors import Finding, Rejected
from wharfinger.operator.install.model import (
    CONFIG,
    RESERVED,
    TARGET,
    File,
    Found,
    Kept,
    Kernel,
    Plan,
    Present,
    Remove,
    Rights,
    Run,
    Start,
    Unit,
    Wish,
    Write,
    digest,
    unit,
)
from wharfinger.operator.install.plan import plan
from wharfinger.operator.install.removal import removal

SYSUSERS = File("/etc/sysusers.d/wharfinger.conf", b"users", "users")
TMPFILES = File("/etc/tmpfiles.d/wharfinger.conf", b"folders", "folders")
SERVICE = File(f"/etc/systemd/system/{unit('registrar')}", b"unit", "unit", role="host")
KEY = File("/etc/wharfinger/pki/host.key", b"key", "key", "secret", mode=0o640, group="_wharfinger")
TOKEN = File("/etc/wharfinger/ingest.token", b"new", "token", "token", mode=0o640, group="_w")
SYSCTL = "/etc/sysctl.d/60-wharfinger.conf"
SAMPLE = "[etcd]\n"

WISH = Wish(
    roles=frozenset({"host"}),
    version="2",
    files=(SYSUSERS, TMPFILES, SERVICE, KEY, TOKEN),
    settings={("etcd", "prefix"): "/x"},
    sample=SAMPLE,
    port_range="20000-29999",
    users=("_wharfinger",),
    folders=("/var/lib/wharfinger",),
)
ENABLED = {each: Unit("active", "enabled") for each in
           (TARGET, unit("registrar"), unit("logshipper"))}  # fmt: skip


def there(file: File, **more: Any) -> Present:
    return replace(Present(file.data, file.mode, file.group), **more)


def done(wish: Wish = WISH) -> Found:
    """A host on which all of it has been done."""
    planned = plan(wish, Found(reserved=""))
    files = {step.file.path: there(step.file) for step in planned.steps if isinstance(step, Write)}
    return Found(
        files=files,
        record=planned.after,
        users=frozenset(wish.users),
        folders=frozenset(wish.folders),
        units=ENABLED,
        reserved="20000-29999",
        reserving={SYSCTL: "20000-29999"},
    )


def written(planned: Plan) -> list[str]:
    return [step.file.path for step in planned.steps if isinstance(step, Write)]


def test_on_a_bare_host_each_step_finds_what_it_needs() -> None:
    planned = plan(WISH, Found(reserved=""))
    order = [step.file.path if isinstance(step, Write) else step for step in planned.steps]
    commands = [step.command[0] for step in planned.steps if isinstance(step, Run)]
    assert commands == ["systemd-sysusers", "systemd-tmpfiles", "systemctl", "systemctl"]
    sysusers = next(at for at, step in enumerate(planned.steps) if isinstance(step, Run))
    # The groups are there before a file is given to one.
    assert order.index(SYSUSERS.path) < sysusers < order.index(KEY.path)
    assert order.index(KEY.path) < order.index(CONFIG)
    assert isinstance(planned.steps[-1], Start)
    assert planned.steps[-1].daemons == ("registrar", "logshipper")
    assert Kernel(RESERVED, "20000-29999", "reserves ports 20000-29999 from now on") in order
    assert planned.after
    assert planned.after.roles == {"host"}


def test_a_second_run_has_nothing_to_do() -> None:
    planned = plan(WISH, done())
    assert planned.steps == ()
    assert planned.remarks == ()
    assert planned.after == done().record


def test_a_root_folder_is_not_started_and_no_kernel_is_told() -> None:
    planned = plan(WISH, Found(live=False, reserved=None))
    assert not [step for step in planned.steps if isinstance(step, Start | Kernel)]
    runs = [step for step in planned.steps if isinstance(step, Run)]
    assert all(step.offline for step in runs)


@pytest.mark.parametrize("at", range(8))
def test_killed_at_any_file_the_next_run_makes_it_whole(at: int) -> None:
    planned = plan(WISH, Found(reserved=""))
    writes = [step for step in planned.steps if isinstance(step, Write)]
    half = {step.file.path: there(step.file) for step in writes[:at]}
    again = plan(WISH, Found(files=half, record=planned.during, reserved=""))
    assert written(again) == [step.file.path for step in writes[at:]]
    assert isinstance(again.steps[-1], Start)
    assert again.after == planned.after


def test_killed_between_a_new_unit_and_its_restart_it_is_restarted() -> None:
    host = done()
    newer = replace(WISH, files=(*WISH.files[:2], replace(SERVICE, data=b"newer"), *WISH.files[3:]))
    first = plan(newer, host)
    assert first.steps[-1] == Start(("registrar",), frozenset({"registrar"}),
                                    "starts them, and waits until they are ready")  # fmt: skip
    files = {**host.files, SERVICE.path: there(replace(SERVICE, data=b"newer"))}
    second = plan(newer, replace(host, files=files, record=first.during))
    assert written(second) == []
    assert second.steps == first.steps[-1:]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_unit_that_was_edited_is_left_unless_that_was_asked_for(overwrite: bool) -> None:
    host = done()
    files = {**host.files, SERVICE.path: there(SERVICE, data=b"mine")}
    planned = plan(replace(WISH, overwrite=overwrite), replace(host, files=files))
    assert written(planned) == ([SERVICE.path] if overwrite else [])
    if not overwrite:
        [remark] = planned.remarks
        assert "changed by hand" in remark.problem
        assert f"systemctl edit {unit('registrar')}" in remark.fix
        assert planned.after
        assert planned.after.files[SERVICE.path] == host.record.files[SERVICE.path]  # type: ignore[union-attr]


def test_what_stood_there_before_us_is_left_and_not_ours() -> None:
    planned = plan(WISH, Found(files={TMPFILES.path: Present(b"theirs")}, reserved=""))
    assert TMPFILES.path not in written(planned)
    assert planned.after
    assert TMPFILES.path not in planned.after.files


@pytest.mark.parametrize(
    ("file", "present", "step"),
    [
        (KEY, there(KEY, data=b"old"), "write"),
        (KEY, there(KEY, mode=0o644), "rights"),
        (KEY, there(KEY, group="users"), "rights"),
        (TOKEN, there(TOKEN, data=b"the one in use"), ""),
        (TOKEN, there(TOKEN, data=b"the one in use", mode=0o666), "rights"),
        (KEY, Present(None, what="link"), "remark"),
        (SERVICE, Present(None, what="folder"), "remark"),
    ],
)
def test_what_is_done_for_one_file(file: File, present: Present, step: str) -> None:
    host = done()
    planned = plan(WISH, replace(host, files={**host.files, file.path: present}))
    kinds = {Write: "write", Rights: "rights"}
    found = [kinds[type(each)] for each in planned.steps if type(each) in kinds]
    assert found == ([step] if step in ("write", "rights") else [])
    assert [each.where for each in planned.remarks] == ([file.path] if step == "remark" else [])


def test_a_file_of_an_older_version_goes_unless_it_was_edited() -> None:
    old = {"/etc/old": Kept((digest(b"old"),)), "/etc/mine": Kept((digest(b"old"),)),
           "/etc/gone": Kept((digest(b"old"),))}  # fmt: skip
    host = done()
    assert host.record
    record = replace(host.record, files={**host.record.files, **old})
    files = {**host.files, "/etc/old": Present(b"old"), "/etc/mine": Present(b"edited")}
    planned = plan(WISH, replace(host, files=files, record=record))
    assert [step.path for step in planned.steps if isinstance(step, Remove)] == ["/etc/old"]
    assert [each.where for each in planned.remarks] == ["/etc/mine"]


def test_a_drop_in_that_is_needed_no_more_goes_and_the_daemon_starts_without_it() -> None:
    path = f"/etc/systemd/system/{unit('registrar')}.d/60-runtime.conf"
    host = done()
    assert host.record
    record = replace(
        host.record, files={**host.record.files, path: Kept((digest(b"x"),), role="host")}
    )
    planned = plan(WISH, replace(host, files={**host.files, path: Present(b"x")}, record=record))
    assert [type(step) for step in planned.steps] == [Remove, Run, Start]
    assert isinstance(planned.steps[-1], Start)
    assert planned.steps[-1].restart == {"registrar"}


def test_the_configuration_is_changed_in_place_and_its_daemons_hear_of_it() -> None:
    host = done()
    mine = Present(b'# mine\n[etcd]\nprefix = "/old" # why\n', 0o600)
    planned = plan(WISH, replace(host, files={**host.files, CONFIG: mine}))
    [write] = [step for step in planned.steps if isinstance(step, Write)]
    assert write.file.data == b'# mine\n[etcd]\nprefix = "/x" # why\n'
    assert isinstance(planned.steps[-1], Start)
    assert planned.steps[-1].restart == {"registrar", "logshipper"}


@pytest.mark.parametrize(
    ("mode", "group", "after"),
    [
        (0o600, "root", (0o640, "_wharfinger")),
        (0o640, "ops", (0o640, "_wharfinger")),
        (0o660, "_wharfinger", (0o640, "_wharfinger")),
        (0o644, "ops", (0o644, "root")),
        (0o666, "root", (0o644, "root")),
    ],
)
def test_a_configuration_that_was_closed_to_others_stays_so(
    mode: int, group: str, after: tuple[int, str]
) -> None:
    mine = Present(b'[etcd]\nprefix = "/old"\n', mode, group)
    planned = plan(WISH, Found(files={CONFIG: mine}, reserved=""))
    [file] = [s.file for s in planned.steps if isinstance(s, Write) and s.file.path == CONFIG]
    assert (file.mode, file.group) == after


@pytest.mark.parametrize("data", [b"[etcd", b"\xff\xfe", b"etcd = 1"])
def test_a_configuration_that_cannot_be_understood_stops_all(data: bytes) -> None:
    with pytest.raises(Rejected, match=f"{CONFIG}.*nothing was changed"):
        plan(WISH, Found(files={CONFIG: Present(data)}))


def test_ports_that_others_reserve_stay_reserved() -> None:
    others = {"/etc/sysctl.d/50-db.conf": "5432,30000-30010", "/etc/sysctl.d/99-x.conf": "8080"}
    planned = plan(WISH, Found(reserved="5432", reserving=others))
    [file] = [step.file for step in planned.steps
              if isinstance(step, Write) and step.file.path == SYSCTL]  # fmt: skip
    assert b"= 5432,8080,20000-30010\n" in file.data
    [kernel] = [step for step in planned.steps if isinstance(step, Kernel)]
    assert kernel.value == "5432,20000-29999"
    [remark] = planned.remarks
    assert remark.where == "/etc/sysctl.d/99-x.conf"
    assert "8080,20000-29999" in remark.fix


def test_a_masked_unit_is_told_and_not_started() -> None:
    units = {**ENABLED, unit("registrar"): Unit("inactive", "masked")}
    planned = plan(WISH, replace(done(), units=units))
    assert planned.steps == ()
    assert planned.remarks == (
        Finding(unit("registrar"), "is masked and was not started",
                f"systemctl unmask {unit('registrar')}"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "starts"),
    [("inactive", True), ("failed", True), ("activating", True), ("active", False)],
)
def test_what_does_not_run_is_started_and_waited_for(state: str, starts: bool) -> None:
    units = {**ENABLED, unit("logshipper"): Unit(state, "enabled")}
    planned = plan(WISH, replace(done(), units=units))
    # What is not ready may wait by a configuration that was mended since.
    again = frozenset({"logshipper"} if state == "activating" else ())
    expected = [Start(("logshipper",), again, "starts them, and waits until they are ready")]
    assert list(planned.steps) == (expected if starts else [])
    assert plan(replace(WISH, start=False), replace(done(), units=units)).steps == ()


def test_another_version_or_environment_is_told() -> None:
    host = done()
    assert host.record
    record = replace(host.record, version="1", programs="/opt/w/bin")
    planned = plan(WISH, replace(host, record=record))
    assert [each.where for each in planned.remarks] == ["version", "programs"]


def taken(planned: Plan) -> list[str]:
    return [step.path for step in planned.steps if isinstance(step, Remove)]


def test_where_nginx_serves_on_the_folder_of_its_socket_is_made_at_each_boot() -> None:
    data = {"discovery": ("/var/lib/wharfinger/discovery", "/etc/nginx/conf.d/wharfinger.conf")}
    planned = removal(frozenset({"host"}), done(), purge=False, data=data)
    assert TMPFILES.path not in taken(planned)
    assert TMPFILES.path in {each.where for each in planned.remarks}
    assert planned.after
    assert TMPFILES.path in planned.after.files
    off = Found(files=done().files, record=planned.after, units={each: Unit() for each in ENABLED})
    assert TMPFILES.path in taken(removal(frozenset(), off, purge=True, data=data))


def test_out_again_all_that_was_put_there_goes_but_what_goes_with_the_data() -> None:
    data = {"registrar": ("/var/lib/wharfinger/registrar",)}
    planned = removal(frozenset({"host"}), done(), purge=False, data=data)
    assert planned.steps[0] == Run(
        ("systemctl", "stop", unit("logshipper"), unit("registrar"), TARGET), "stops them"
    )
    assert set(taken(planned)) == {SYSUSERS.path, TMPFILES.path, SERVICE.path, CONFIG, SYSCTL}
    kept = {each.where for each in planned.remarks}
    assert kept == {KEY.path, TOKEN.path, "/var/lib/wharfinger/registrar"}
    assert planned.after
    assert set(planned.after.files) == {KEY.path, TOKEN.path}
    host = done()
    left = {path: file for path, file in host.files.items() if path in (KEY.path, TOKEN.path)}
    off = {name: Unit() for name in ENABLED}
    again = removal(frozenset(), Found(files=left, record=planned.after, units=off),
                    purge=False, data={})  # fmt: skip
    assert again.steps == ()
    purged = removal(frozenset(), Found(files=left, record=planned.after, units=off),
                     purge=True, data={})  # fmt: skip
    assert set(taken(purged)) == {KEY.path, TOKEN.path}
    assert purged.after is None


def test_one_role_goes_and_the_others_keep_theirs() -> None:
    both = replace(WISH, roles=frozenset({"host", "store"}))
    host = done(both)
    planned = removal(frozenset({"host"}), host, purge=False, data={})
    assert set(taken(planned)) == {SYSCTL, SERVICE.path}
    assert planned.after
    assert planned.after.roles == {"store"}
    assert CONFIG in planned.after.files
    assert removal(frozenset({"edge"}), host, purge=False, data={}).steps == ()


def test_what_was_edited_stays_until_it_is_purged() -> None:
    host = done()
    host = replace(host, files={**host.files, CONFIG: Present(b"mine")})
    assert CONFIG not in taken(removal(frozenset({"host"}), host, purge=False, data={}))
    data = {"registrar": ("/srv/r",)}
    assert {CONFIG, "/srv/r"} <= set(
        taken(removal(frozenset({"host"}), host, purge=True, data=data))
    )


def test_where_nothing_is_installed_nothing_is_done() -> None:
    data = {"registrar": ("/x",)}
    assert removal(frozenset({"host"}), Found(), purge=False, data=data) == Plan()
    # But data that an uninstall has kept can still be purged.
    assert taken(removal(frozenset({"host"}), Found(), purge=True, data=data)) == ["/x"]
