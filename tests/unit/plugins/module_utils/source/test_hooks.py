# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hooks around the point of consistency, with real commands of this host."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.errors import SourceError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import CancelledError
from ansible_collections.agnostic.recovery.plugins.module_utils.source import hooks as module
from ansible_collections.agnostic.recovery.plugins.module_utils.source.hooks import Hooks

SECONDS = 30       # a test fails rather than waits longer


@pytest.fixture
def log(tmp_path):
    """A file to which the commands of hooks write."""
    return tmp_path / "log"


def note(log, word):
    return "echo {0} >> '{1}'".format(word, log)


def hook(log, name, **options):
    return dict({"name": name, "before": note(log, "before-" + name), "after": note(log, "after-" + name)}, **options)


def words(log):
    return log.read_text().split() if log.exists() else []


def wait_for(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_gone(pid):
    """A zombie counts as gone: in a container it may have no parent that reaps it."""
    try:
        with open("/proc/{0}/stat".format(pid)) as handle:
            return handle.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_no_hooks_do_nothing():
    hooks = Hooks([])
    hooks.before_freeze()
    hooks.after_thaw()
    assert not hooks.succeeded() and hooks.evidence() == [] and hooks.warnings() == []


def test_order_and_evidence(log):
    hooks = Hooks([hook(log, "one"), hook(log, "two", before=["/bin/sh", "-c", note(log, "before-two"), "argument"]), {"name": "none"}])
    hooks.before_freeze()
    assert words(log) == ["before-one", "before-two"] and not hooks.succeeded()
    hooks.after_thaw()
    assert words(log) == ["before-one", "before-two", "after-two", "after-one"]
    assert hooks.succeeded() and hooks.warnings() == []
    assert [(entry["name"], entry["kind"], entry["succeeded"]) for entry in hooks.evidence()] == [
        ("one", "command", True), ("two", "command", True), ("none", "command", True)]
    hooks.after_thaw()         # a second call does nothing
    assert len(words(log)) == 4


def test_a_failure_is_a_warning_and_the_rest_goes_on(log):
    hooks = Hooks([hook(log, "one", before="echo the reason; exit 3"), hook(log, "two")])
    hooks.before_freeze()
    hooks.after_thaw()
    assert words(log) == ["before-two", "after-two", "after-one"]
    assert not hooks.succeeded()
    assert hooks.warnings() == ["Hook one: sh failed (status 3): the reason."]
    assert [entry["succeeded"] for entry in hooks.evidence()] == [False, True]
    assert "the reason" not in json.dumps(hooks.evidence())


def test_a_failure_after_counts_too(log):
    hooks = Hooks([hook(log, "one", after="exit 1"), hook(log, "two")])
    hooks.before_freeze()
    hooks.after_thaw()
    assert not hooks.succeeded() and hooks.warnings() == ["Hook one: sh failed (status 1), and printed nothing."]


def test_a_required_hook_that_fails_ends_the_capture(log):
    hooks = Hooks([hook(log, "one"), hook(log, "two", before="exit 1", required=True), hook(log, "three")])
    with pytest.raises(SourceError, match="Hook two: sh failed .* The hook is required"):
        hooks.before_freeze()
    assert words(log) == ["before-one", "after-two", "after-one"]


def test_a_command_that_does_not_exist(log):
    hooks = Hooks([hook(log, "one", before=["/nonexistent/command"])])
    hooks.before_freeze()
    hooks.after_thaw()
    assert hooks.warnings() == ["Hook one: command cannot be run: No such file or directory."]
    assert words(log) == ["after-one"]


@pytest.mark.parametrize("wrong, message", [
    ({"before": []}, "before must be a list"),
    ({"after": ["a", 1]}, "after must be a list"),
    ({"before": " "}, "before must be a list"),
    ({"client": "psql"}, "client must be a list"),
    ({"kind": "oracle"}, "'oracle' is no kind; there are: command, mysql, postgresql"),
    ({"timeout": 0}, "timeout must be more than 0"),
])
def test_what_is_no_hook(wrong, message):
    with pytest.raises(SourceError, match=message):
        Hooks([dict({"name": "shop"}, **wrong)])


def test_the_time_limit_ends_the_whole_process_group(log, tmp_path):
    script = "trap '' TERM; (trap '' TERM; echo $$ > '{0}/leader'; sleep 1000 & echo $! > '{0}/child'; wait) & wait".format(tmp_path)
    hooks = Hooks([hook(log, "one", before=script, timeout=0.5)])
    hooks.before_freeze()
    hooks.after_thaw()
    assert "took longer than 0.5 s and was stopped" in hooks.warnings()[0]
    assert words(log) == ["after-one"]
    for name in ("leader", "child"):
        assert is_gone((tmp_path / name).read_text().strip())


def test_a_process_that_a_command_leaves_behind_is_not_waited_for_nor_killed(log, tmp_path):
    hooks = Hooks([hook(log, "one", before="sleep 1000 & echo $! > '{0}/child'".format(tmp_path))])
    hooks.before_freeze()
    hooks.after_thaw()
    child = int((tmp_path / "child").read_text())
    try:
        assert hooks.succeeded() and not is_gone(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_output_is_bounded(log):
    hooks = Hooks([hook(log, "one", before="head -c 50000000 /dev/zero | tr '\\0' x; echo the end; exit 1")])
    hooks.before_freeze()
    hooks.after_thaw()
    assert hooks.warnings()[0].endswith("xthe end.") and len(hooks.warnings()[0]) < 5000


def test_commands_have_the_signals_of_a_fresh_process(log):
    hooks = Hooks([hook(log, "one", before="grep -E 'Sig(Ign|Blk)' /proc/self/status >> '{0}'".format(log))])
    hooks.before_freeze()
    hooks.after_thaw()
    masks = [int(word, 16) for word in words(log) if len(word) == 16]
    ignored = sum(1 << number - 1 for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE))
    assert len(masks) == 2 and not any(mask & ignored for mask in masks)


def test_as_another_user(log):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    hooks = Hooks([{"name": "one", "user": "nobody", "before": "test $(id -un) = nobody && test $(id -u) != 0 && test $USER = nobody"},
                   {"name": "two", "user": "no-such-user", "before": "true"}])
    hooks.before_freeze()
    hooks.after_thaw()
    assert hooks.warnings() == ["Hook two: there is no user no-such-user on this host."]


def test_held_too_long(log):
    hooks = Hooks([hook(log, "one")], hold=0.2)
    hooks.before_freeze()
    wait_for(lambda: words(log) == ["before-one", "after-one"])
    hooks.after_thaw()
    assert not hooks.succeeded() and "held longer than 0.2 s" in hooks.warnings()[0]
    assert words(log) == ["before-one", "after-one"]


def test_cancelled_while_a_command_runs(log, tmp_path):
    started = tmp_path / "started"
    hooks = Hooks([hook(log, "one"), hook(log, "two", before="touch '{0}'; sleep 1000".format(started), timeout=900),
                   hook(log, "three")], cancelled=started.exists)
    with pytest.raises(CancelledError):
        hooks.before_freeze()
    assert words(log) == ["before-one", "after-two", "after-one"]


def test_the_keeper_is_killed_while_it_holds(log):
    hooks = Hooks([hook(log, "one"), hook(log, "two")])
    hooks.before_freeze()
    hooks._process.kill()          # pylint: disable=protected-access
    hooks.after_thaw()
    assert words(log) == ["before-one", "before-two", "after-two", "after-one"]
    assert not hooks.succeeded() and module._DEATH in hooks.warnings()[0]      # pylint: disable=protected-access


ENGINE = """
import sys, time
from ansible_collections.agnostic.recovery.plugins.module_utils.source.hooks import Hooks
hooks = Hooks([{"name": "one", "before": sys.argv[1], "after": sys.argv[2], "timeout": 900}])
hooks.before_freeze()
open(sys.argv[3], "w").close()
time.sleep(1000)
"""


@pytest.mark.parametrize("held", [True, False], ids=["held", "before"])
def test_the_engine_is_killed(log, tmp_path, held):
    ready = tmp_path / "ready"
    before = note(log, "before") + ("" if held else "; touch '{0}'; sleep 1000".format(ready))
    process = subprocess.Popen([sys.executable, "-c", ENGINE, before, note(log, "after"), str(tmp_path / "ready")], start_new_session=True,
                               env=dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path)))
    try:
        wait_for(ready.exists)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    wait_for(lambda: words(log) == ["before", "after"])
