# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks against a real Linux guest: getty and login on its noisy console, its ports through forwards, its isolation, its power button."""

import contextlib
import http.server
import threading
import time

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.check_model import CheckFailed, CheckTarget
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.checks import run_check, run_checks
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.console import LOGIN_PROMPT, open_console
from ansible_collections.agnostic.recovery.plugins.module_utils.target import qemu
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_command import Forward, Guest, GuestDisk, GuestNic
from ansible_collections.agnostic.recovery.tests.system.target import tiny_guest

LOGIN = {"kind": "console", "user": tiny_guest.USER, "password": tiny_guest.PASSWORD, "timeout": 120}


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """The Linux guest as the checks reach it. Its second NIC, which it does not use by itself, is not isolated."""
    folder = tmp_path_factory.mktemp("tiny")
    disk = str(folder / "tiny.raw")
    tiny_guest.linux_disk(disk)
    forwards = (Forward(80), Forward(5432))
    nics = (GuestNic(network=tiny_guest.NETWORK, gateway=tiny_guest.GATEWAY, address=tiny_guest.ADDRESS, forwards=forwards),
            GuestNic(network="198.51.100.0/24", isolated=False))
    run_dir = str(folder / "guest")
    try:
        running, _changed = qemu.start(Guest("tiny", run_dir, (GuestDisk(disk),), nics, memory=256, lifetime=300))
        yield CheckTarget(forwards=running.forwards, run_dir=run_dir)
    finally:
        qemu.remove(run_dir)


@contextlib.contextmanager
def page_on_this_host():
    """A page on this host's loopback, which an isolated guest must not reach."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_a_booting_machine_is_waited_for_and_checked(target):
    """All at once, from the very start of the machine; two of them want the one console."""
    login, again, web, page, console = run_checks([
        dict(LOGIN, name="login", command="hostname; echo $((6*7))", contains=["tiny", "42"]),
        dict(LOGIN, name="again", command="cat /proc/loadavg", regex=r"\d\.\d\d"),
        {"kind": "tcp", "port": 80, "timeout": 120},
        {"kind": "http", "contains": ["Tiny shop", "3 rows"], "timeout": 120},
        {"kind": "console", "pattern": r"^tiny login:", "timeout": 120},
    ], target)
    for result in (login, again, web, page, console):
        assert result.passed, result
    assert tiny_guest.PASSWORD not in repr((login, again))
    assert login.detail == "login of 'root', the output contains 'tiny', '42'"


def test_what_the_machine_does_not_do(target):
    wrong, failing, refused, silent = run_checks([
        dict(LOGIN, name="wrong password", password="not this one", timeout=15),
        dict(LOGIN, name="failing command", command="exit 3", timeout=60, interval=90),
        {"kind": "tcp", "port": 5432, "timeout": 6, "interval": 9},
        {"kind": "http", "port": 5432, "timeout": 6, "interval": 9},
    ], target)
    assert not wrong.passed and "not this one" not in repr(wrong)
    assert not failing.passed and "status 3" in failing.detail
    # QEMU itself accepts the connection; that must not pass for an answer of the machine
    assert not refused.passed and "refused" in refused.detail
    assert not silent.passed


def test_a_dialog_that_broke_off_does_not_block_the_console(target):
    deadline = time.monotonic() + 90
    with open_console(target.run_dir, deadline) as dialog:
        dialog.login(tiny_guest.USER, tiny_guest.PASSWORD, LOGIN_PROMPT, deadline)
        with pytest.raises(CheckFailed, match="did not end in time"):
            dialog.run("sleep 600", time.monotonic() + 2)
    assert run_check(dict(LOGIN, command="true"), target).passed


def test_a_refused_login_is_told(target):
    with open_console(target.run_dir, time.monotonic() + 30) as dialog:
        with pytest.raises(CheckFailed, match="was not accepted"):
            dialog.login(tiny_guest.USER, "wrong", LOGIN_PROMPT, time.monotonic() + 60)


def test_an_isolated_machine_reaches_nothing(target):
    """The same request goes through the NIC that is not isolated: the test could see it, were the other one open."""
    with page_on_this_host() as port, open_console(target.run_dir, time.monotonic() + 60) as dialog:
        deadline = time.monotonic() + 90
        dialog.login(tiny_guest.USER, tiny_guest.PASSWORD, LOGIN_PROMPT, deadline)
        isolated, _output = dialog.run(f"timeout 5 wget -q -O /dev/null http://{tiny_guest.GATEWAY}:{port}/", deadline)
        dialog.run("ip link set eth1 up; ip addr add 198.51.100.15/24 dev eth1", deadline)
        opened, output = dialog.run(f"timeout 20 wget -q -O /dev/null http://198.51.100.1:{port}/", deadline)
        dialog.logout(LOGIN_PROMPT, time.monotonic() + 20)
    assert isolated != 0
    assert opened == 0, output


def test_the_power_button_ends_the_machine(target):
    assert qemu.stop(target.run_dir, timeout=60) == "powered down"
    result = run_check({"kind": "http", "timeout": 60}, target)
    assert not result.passed and result.attempts == 1 and "not running any more" in result.detail
