# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real QEMU guests: start, console, picture, stop, removal, and that nothing outlives its time."""

import os
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.target import qemu, qemu_probe, qemu_process
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_command import (
    DISK_BUSES, QMP_SOCKET, Forward, Guest, GuestDisk, GuestNic)
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_console import wait_for_text
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_screen import png_from_ppm, take_screenshot
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qmp import Qmp
from ansible_collections.agnostic.recovery.tests.system.target import tiny_guest


@pytest.fixture(autouse=True)
def need_qemu():
    tiny_guest.require_qemu()


@pytest.fixture
def guest(tmp_path):
    """A guest that says hello and halts; whatever the test leaves running is removed."""
    disk = tmp_path / "hello.raw"
    tiny_guest.hello_disk(str(disk))
    guest = Guest("hello", str(tmp_path / "guest"), (GuestDisk(str(disk)),), memory=32, cpus=1, lifetime=60)
    yield guest
    for entry in tmp_path.iterdir():
        if entry.is_dir():
            qemu.remove(str(entry))


def wait_gone(run_dir, seconds):
    deadline = time.monotonic() + seconds
    while qemu.find(run_dir) is not None and time.monotonic() < deadline:
        time.sleep(0.1)
    return qemu.find(run_dir) is None


def rows_of_png(data):
    """(width, height, filtered rows without their filter byte) of an 8-bit RGB PNG."""
    width, height = struct.unpack(">II", data[16:24])
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[24:26] == b"\x08\x02"
    body, position = b"", 8
    while position < len(data):
        length, kind = struct.unpack(">I4s", data[position:position + 8])
        body += data[position + 8:position + 8 + length] if kind == b"IDAT" else b""
        position += 12 + length
    raw = zlib.decompress(body)
    return width, height, [raw[row * (width * 3 + 1) + 1:(row + 1) * (width * 3 + 1)] for row in range(height)]


def test_a_guest_from_start_to_proof(guest, tmp_path):
    guest = guest._replace(nics=(GuestNic(forwards=(Forward(80), Forward(5432))), GuestNic("e1000", network="198.51.100.0/24")))
    running, changed = qemu.start(guest)
    assert changed and running.accel in ("kvm", "tcg") and running.accel_reason
    assert os.stat(guest.run_dir).st_mode & 0o777 == 0o700
    assert wait_for_text(running.console_log, "hello", 20).text == "hello"
    # found again, by its directory alone; started again, nothing happens
    assert qemu.find(guest.run_dir) == running and qemu.start(guest) == (running, False)
    with pytest.raises(TargetError, match="other settings"):
        qemu.start(guest._replace(cpus=2))
    ports = {forward.guest_port: forward.host_port for forward in running.forwards}
    assert set(ports) == {80, 5432} and len(set(ports.values())) == 2
    for port in ports.values():
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    picture = str(tmp_path / "screen.png")
    take_screenshot(guest.run_dir, picture)
    with open(picture, "rb") as stream:
        width, height, rows = rows_of_png(stream.read())
    assert any(any(row) for row in rows), "the screen is black"
    # QEMU builds without libpng write PPM: the same picture comes out
    with Qmp(guest.run_dir, QMP_SOCKET) as qmp:
        qmp.execute("screendump", filename="vl.ppm")
    with open(os.path.join(guest.run_dir, "vl.ppm"), "rb") as stream:
        assert rows_of_png(png_from_ppm(stream.read()))[:2] == (width, height)
    assert qemu.stop(guest.run_dir, timeout=1) == "quit"            # a halted boot sector hears no power button
    assert qemu.stop(guest.run_dir) == "not running" and qemu.find(guest.run_dir) is None
    changed, proofs = qemu.remove(guest.run_dir)
    assert changed and not os.path.exists(guest.run_dir)
    assert any(str(running.pid) in proof for proof in proofs) and sum("is free" in proof for proof in proofs) == 2
    assert qemu.remove(guest.run_dir)[0] is False


@pytest.mark.parametrize("bus", DISK_BUSES)
def test_the_firmware_boots_from_every_bus(guest, bus):
    running, _changed = qemu.start(guest._replace(disks=(guest.disks[0]._replace(bus=bus),), machine="pc" if bus == "ide" else "q35"))
    wait_for_text(running.console_log, "hello", 20)


def test_a_run_directory_may_be_deep_and_odd(guest, tmp_path):
    deep = tmp_path / "a,b c" / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    disk = deep / "disk,1:2.raw"
    tiny_guest.hello_disk(str(disk))
    running, _changed = qemu.start(guest._replace(run_dir=str(deep / "guest"), disks=(GuestDisk(str(disk), snapshot=True),)))
    try:
        assert len(running.serial_socket) > 108
        wait_for_text(running.console_log, "hello", 20)
    finally:
        qemu.remove(running.run_dir)
    assert os.listdir(str(deep)) == [disk.name]


def test_the_lifetime_ends_a_guest(guest):
    running, _changed = qemu.start(guest._replace(lifetime=2, nics=(GuestNic(forwards=(Forward(80),)),)))
    assert wait_gone(guest.run_dir, 15)
    assert time.time() >= running.started + 2
    _changed, proofs = qemu.remove(guest.run_dir)
    assert "the guest was not running" in proofs


def test_a_killed_starter_leaves_no_orphan(guest):
    code = ("import sys, time\n"
            "from ansible_collections.agnostic.recovery.plugins.module_utils.target import qemu\n"
            "from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_command import Guest, GuestDisk\n"
            "qemu.start(Guest('hello', sys.argv[1], (GuestDisk(sys.argv[2]),), memory=32, lifetime=5))\n"
            "print('started', flush=True)\n"
            "time.sleep(60)\n")
    starter = subprocess.Popen([sys.executable, "-c", code, guest.run_dir, guest.disks[0].path], stdout=subprocess.PIPE,
                               env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)))
    assert starter.stdout.readline() == b"started\n"
    starter.kill()
    starter.wait()
    starter.stdout.close()
    assert qemu.find(guest.run_dir) is not None                      # it outlives its starter ...
    assert wait_gone(guest.run_dir, 20)                              # ... but not its time


def test_killed_processes_take_each_other_along(guest):
    watcher = subprocess.run(["setpriv", "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if watcher.returncode:
        pytest.skip("this machine has no setpriv (util-linux)")
    qemu.start(guest)
    os.kill(qemu_process.find_process(guest.run_dir, "timeout"), signal.SIGKILL)
    assert wait_gone(guest.run_dir, 10)
    running, changed = qemu.start(guest)
    assert changed
    os.kill(running.pid, signal.SIGKILL)
    assert wait_gone(guest.run_dir, 10)
    assert qemu.remove(guest.run_dir)[0]


def test_lost_state_does_not_lose_the_guest(guest):
    running, _changed = qemu.start(guest)
    os.unlink(os.path.join(guest.run_dir, qemu.STATE_FILE))
    assert qemu.find(guest.run_dir).pid == running.pid
    with pytest.raises(TargetError, match="already runs"):
        qemu.start(guest)
    assert qemu.remove(guest.run_dir)[1][0] == "the guest was quit"


def test_what_cannot_start_is_told_clearly(guest, tmp_path):
    forwarded = GuestNic(forwards=(Forward(80),))
    running, _changed = qemu.start(guest._replace(nics=(forwarded,)))
    port = running.forwards[0].host_port
    other_disk = str(tmp_path / "other.raw")
    tiny_guest.hello_disk(other_disk)
    other = guest._replace(run_dir=str(tmp_path / "other"), disks=(GuestDisk(other_disk),))
    for wrong, words in [
        (guest._replace(run_dir=other.run_dir), f"{guest.disks[0].path} is in use by another QEMU"),
        (other._replace(disks=(GuestDisk("/nowhere/disk.raw"),)), "/nowhere/disk.raw.*No such file"),
        (other._replace(memory=1 << 30), "needs 1073741824 MiB of memory"),
        (other._replace(nics=(GuestNic(forwards=(Forward(80, port),)),)), "port is in use"),
        (other._replace(disks=(GuestDisk(other_disk, "qcow2"),)), "not in qcow2 format"),
    ]:
        with pytest.raises(TargetError, match=words):
            qemu.start(wrong)
        assert qemu.find(wrong.run_dir) is None
    assert qemu.find(guest.run_dir) == running


def test_writes_of_a_snapshot_do_not_reach_the_disk(guest):
    with open(guest.disks[0].path, "rb") as stream:
        before = stream.read()
    running, _changed = qemu.start(guest._replace(disks=(guest.disks[0]._replace(snapshot=True),)))
    wait_for_text(running.console_log, "hello", 20)
    with Qmp(guest.run_dir, QMP_SOCKET) as qmp:
        qmp.execute("human-monitor-command", **{"command-line": 'qemu-io disk0 "write -P 0x55 0 4096"'})
    qemu.remove(guest.run_dir)
    with open(guest.disks[0].path, "rb") as stream:
        assert stream.read() == before


def test_the_verdict_on_kvm_is_true(guest, tmp_path):
    program = qemu_probe.find_program()
    took, error = qemu_probe.run_trial(program, ["-accel", "tcg"], 20)
    assert took is not None, f"the trial program itself is wrong: {error}"
    able = qemu_probe.abilities(cache=str(tmp_path / "qemu.json"))
    assert able.kvm_reason
    running, _changed = qemu.start(guest)
    wait_for_text(running.console_log, "hello", 20)
    if able.kvm:
        assert running.accel == "kvm"
    else:
        assert running.accel == "tcg"
        with pytest.raises(TargetError, match="KVM, which does not work on this host"):
            qemu.start(guest._replace(run_dir=str(tmp_path / "kvm"), accel="kvm"))


def test_uefi_starts(guest):
    try:
        running, _changed = qemu.start(guest._replace(firmware="uefi", machine="q35", memory=256))
    except TargetError as error:
        if "ovmf" in str(error):
            pytest.skip("this machine has no UEFI firmware for QEMU (package ovmf)")
        raise
    wait_for_text(running.console_log, r"BdsDxe: .*Boot\d{4}", 60)
