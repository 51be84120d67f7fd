# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two real guests on a segment: they reach each other and nothing else, and this host reaches each by its forwards."""

import os
import shutil
import socket
import time

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.check_model import CheckTarget
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.checks import run_check
from ansible_collections.agnostic.recovery.plugins.module_utils.target import qemu, qemu_segment
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_command import Forward, Guest, GuestDisk, GuestNic
from ansible_collections.agnostic.recovery.tests.system.target import tiny_guest

LOGIN = {"kind": "console", "user": tiny_guest.USER, "password": tiny_guest.PASSWORD, "timeout": 180}
SECOND = "192.0.2.11"


@pytest.fixture(name="segment")
def fixture_segment(tmp_path):
    tiny_guest.require_qemu()
    if not shutil.which("vde_switch"):
        pytest.skip("this machine has no vde_switch (package vde-switch)")
    segment = qemu_segment.Segment(str(tmp_path / "segment"), tiny_guest.NETWORK, tiny_guest.GATEWAY, lifetime=600)
    yield segment
    for entry in tmp_path.iterdir():
        if entry.is_dir():
            (qemu_segment if entry.name == "segment" else qemu).remove(str(entry))


def start(segment, folder, name, address, number):
    disk = str(folder / (name + ".raw"))
    tiny_guest.linux_disk(disk)
    nic = GuestNic(mac=f"52:54:00:00:00:0{number}", network=segment.network, gateway=segment.gateway, address=address,
                   forwards=(Forward(80),), segment=segment.run_dir)
    guest = Guest(name, str(folder / name), (GuestDisk(disk),), (nic,), memory=256, cpus=1, lifetime=600)
    running, changed = qemu.start(guest)
    assert changed and qemu.start(guest) == (running, False)
    return CheckTarget(forwards=running.forwards, run_dir=running.run_dir)


def test_guests_of_a_segment_reach_each_other_and_nothing_else(segment, tmp_path):
    assert qemu_segment.start(segment)[1] and not qemu_segment.start(segment)[1]
    first = start(segment, tmp_path, "first", tiny_guest.ADDRESS, 1)
    second = start(segment, tmp_path, "second", SECOND, 2)
    with socket.create_server(("127.0.0.1", 0)) as outside:
        port = outside.getsockname()[1]
        # What was done in an earlier attempt fails in the next one, which is fine.
        commands = (f"ip addr del {tiny_guest.ADDRESS}/24 dev eth0; ip addr add {SECOND}/24 dev eth0; echo the second > /www/index.html;"
                    f" ping -c 1 -w 20 {tiny_guest.ADDRESS} && echo met;"
                    f" timeout 5 wget -q -O /dev/null http://{tiny_guest.GATEWAY}:{port}/ || echo nothing outside")
        reached = run_check(dict(LOGIN, command=commands, contains=["met", "nothing outside"]), second)
        assert reached.passed, reached
    for target, text in ((first, "Tiny shop"), (second, "the second")):
        for check in ({"kind": "http", "contains": [text], "timeout": 60}, {"kind": "tcp", "port": 80, "timeout": 60}):
            result = run_check(check, target)
            assert result.passed, result
    ports = [target.forwards[0].host_port for target in (first, second)]
    for target in (first, second):
        _changed, proofs = qemu.remove(target.run_dir)
        assert f"port 127.0.0.1:{target.forwards[0].host_port} is free" in proofs
    assert len(set(ports)) == 2
    sockets = qemu_segment.find(segment.run_dir).sockets
    assert qemu_segment.remove(segment.run_dir)[1] == (f"no process runs in {segment.run_dir}", f"{sockets} does not exist")
    assert not os.path.exists(segment.run_dir) and not os.path.exists(sockets)


def test_a_guest_that_died_gives_its_ports_back_when_it_starts_again(segment, tmp_path):
    qemu_segment.start(segment)
    disk = str(tmp_path / "hello.raw")
    tiny_guest.hello_disk(disk)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        nic = GuestNic(mac="52:54:00:00:00:01", address="192.0.2.20", forwards=(Forward(80, port),), segment=segment.run_dir)
        guest = Guest("hello", str(tmp_path / "hello"), (GuestDisk(disk),), (nic,), memory=32, cpus=1, lifetime=60)
        with pytest.raises(TargetError, match="forwarded port is in use"):
            qemu.start(guest)
        assert qemu.find(guest.run_dir) is None
    qemu.start(guest)
    qemu.stop(guest.run_dir, timeout=0)
    time.sleep(0.2)
    assert qemu.start(guest)[1]                  # the segment lets the port go first


def test_what_is_wrong_with_a_segment_is_said(segment, tmp_path):
    with pytest.raises(TargetError, match="No segment runs in"):
        start(segment, tmp_path, "first", tiny_guest.ADDRESS, 1)
    with pytest.raises(TargetError, match="makes no sense"):
        qemu_segment.start(segment._replace(network="192.0.2.0/33"))
    qemu_segment.start(segment)
    with pytest.raises(TargetError, match="other settings"):
        qemu_segment.start(segment._replace(isolated=False))
