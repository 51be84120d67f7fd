# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts, finds, stops and removes QEMU guests.

A guest belongs to its run directory; qemu_process.py says how its process is known and ended. `segment` of a NIC connects it to a network
that several guests share (qemu_segment.py); else each NIC has a network of its own inside QEMU.
"""

import contextlib
import os
import re
import shutil
import time

from typing import NamedTuple, Tuple

from ..errors import TargetError
from . import qemu_command as command
from . import qemu_process as process
from . import qemu_segment
from .qemu_command import Forward, Guest
from .qemu_firmware import find_firmware
from .qemu_probe import SANDBOX, abilities

STATE_FILE = "guest.json"
_PORT_ATTEMPTS = 5


class RunningGuest(NamedTuple):
    name: str
    run_dir: str
    pid: int
    accel: str                            # kvm or tcg
    accel_reason: str                     # why
    forwards: Tuple[Forward, ...]         # with the host ports in use
    started: int                          # seconds since 1970
    ends: int                             # when its lifetime is over, seconds since 1970

    @property
    def console_log(self):
        return os.path.join(self.run_dir, command.CONSOLE_LOG)

    @property
    def serial_socket(self):
        return os.path.join(self.run_dir, command.SERIAL_SOCKET)

    @property
    def qmp_socket(self):
        return os.path.join(self.run_dir, command.QMP_SOCKET)


class _State(NamedTuple):
    """What STATE_FILE holds: the guest as asked for, and as it was started."""
    guest: Guest
    running: RunningGuest


def find(run_dir):
    """The guest that runs in `run_dir`, None where none does. Only its process id is known where its state file is lost."""
    pid = process.find_process(run_dir, "qemu")
    if not pid:
        return None
    state = process.read_state(run_dir, STATE_FILE, _State)
    return state.running._replace(pid=pid) if state else RunningGuest("", run_dir, pid, "", "", (), 0, 0)


def start(guest, program=None):
    """Starts a guest, or finds that exactly this one runs already. Returns (RunningGuest, changed).

    Returns when QEMU has started all devices; the guest boots on from there. Raises TargetError.
    """
    command.check_guest(guest)
    os.makedirs(guest.run_dir, mode=0o700, exist_ok=True)
    with process.locked(guest.run_dir):
        if not would_start(guest):
            return find(guest.run_dir), False
        _forget(guest.run_dir)
        return _start(guest, program), True


def would_start(guest):
    """True where `start` would start the guest, False where exactly this one runs. Raises TargetError where either is impossible."""
    command.check_guest(guest)
    if not process.find_process(guest.run_dir, "qemu"):
        return True
    state = process.read_state(guest.run_dir, STATE_FILE, _State)
    if state is None or state.guest != guest:
        raise TargetError(f"A guest already runs in {guest.run_dir}, with other settings than those of {guest.name!r}. Stop it first.")
    return False


def stop(run_dir, timeout=60):
    """Ends a guest: asks it to shut down by its power button, and after `timeout` seconds takes it down.

    Returns how it ended: "not running", "powered down", "quit" or "killed".
    """
    if not os.path.isdir(run_dir):
        return "not running"
    with process.locked(run_dir):
        if not process.find_process(run_dir, "qemu"):
            return "not running"
        if timeout > 0 and process.tell(run_dir, "system_powerdown") and process.wait_gone(run_dir, timeout):
            return "powered down"
        if process.tell(run_dir, "quit") and process.wait_gone(run_dir, process.QUIT_SECONDS):
            return "quit"
        process.kill(run_dir)
        return "killed"


def remove(run_dir, timeout=0):
    """Ends a guest and removes everything of it from its run directory, and the directory itself once it is empty.

    Disks are not touched. Returns (changed, proofs): proofs are sentences, each checked after the fact. Raises TargetError where
    anything is left.
    """
    if not os.path.isdir(run_dir):
        return False, (f"{run_dir} does not exist",)
    state = process.read_state(run_dir, STATE_FILE, _State)
    how = stop(run_dir, timeout)
    with process.locked(run_dir):
        _forget(run_dir)
    process.remove_run_dir(run_dir)
    return True, tuple([f"the guest was {how}" if how != "not running" else "the guest was not running"] + _prove_gone(run_dir, state))


def user_networks(run_dir):
    """The run directories whose QEMU holds the networks of the guest in `run_dir`: itself, or the segments that it is connected to."""
    state = process.read_state(run_dir, STATE_FILE, _State)
    return sorted({nic.segment or run_dir for nic in state.guest.nics}) if state else [run_dir]


def _on_ports(state):
    """The NICs of a guest with the host ports that were chosen for their forwards."""
    chosen = iter(state.running.forwards)
    return tuple(nic._replace(forwards=tuple(next(chosen) for _forward in nic.forwards)) for nic in state.guest.nics)


def _prove_gone(run_dir, state):
    left = [f"process {pid} still runs" for pid in process.find_processes(run_dir)]
    left += [f"{name} still exists in {run_dir}" for name in _own_files(run_dir)]
    ports = [(forward.host_address, forward.host_port) for forward in state.running.forwards] if state else []
    left += [f"port {address}:{port} is still in use" for address, port in ports if not process.is_free(address, port)]
    if left:
        raise TargetError(f"The guest in {run_dir} is not gone: {'; '.join(left)}.")
    proofs = [f"no process runs in {run_dir}"]
    if state:
        proofs[0] += f" (process {state.running.pid} is gone)"
    proofs += [f"{run_dir} does not exist" if not os.path.exists(run_dir) else f"sockets and files of the guest in {run_dir} do not exist"]
    return proofs + [f"port {address}:{port} is free" for address, port in ports]


def _start(guest, program):
    able = abilities(program)
    accel, reason = _choose_accelerator(guest, able)
    _check_memory(guest)
    firmware = None
    if guest.firmware == "uefi":
        firmware = find_firmware(guest.machine)
        shutil.copyfile(firmware.variables, os.path.join(guest.run_dir, command.UEFI_VARIABLES))
    for _attempt in range(_PORT_ATTEMPTS):
        ready = _with_ports(guest)
        began = int(time.time())
        forwards = tuple(forward for nic in ready.nics for forward in nic.forwards)
        running = RunningGuest(guest.name, guest.run_dir, 0, accel, reason, forwards, began, began + guest.lifetime)
        process.write_state(guest.run_dir, STATE_FILE, _State(guest, running))
        segments = {nic.segment: qemu_segment.netdev(nic.segment) for nic in guest.nics if nic.segment}
        arguments = command.build_command(ready, able.program, accel, SANDBOX if able.sandbox else "", firmware, segments)
        problem = process.launch(guest.run_dir, guest.lifetime, arguments) or _open_forwards(ready)
        if problem is None:
            running = running._replace(pid=process.find_process(guest.run_dir, "qemu"))
            process.write_state(guest.run_dir, STATE_FILE, _State(guest, running))
            return running
        # A port that was free a moment ago may have been taken; another choice helps only where we chose.
        if "host forwarding rule" not in problem or ready.nics == guest.nics:
            break
    _remove_files(guest.run_dir)
    raise TargetError(_explain(guest, problem))


def _open_forwards(guest):
    """Forwards into segments, which the segment's process holds. Returns None, or after the guest was ended what QEMU has against one."""
    for nic in guest.nics:
        for forward in nic.forwards if nic.segment else ():
            problem = qemu_segment.open_forward(nic.segment, command.nic_addresses(nic)[2], forward)
            if problem:
                process.kill(guest.run_dir)
                _close_forwards(guest)
                return f"host forwarding rule: {problem}"
    return None


def _close_forwards(guest):
    for nic in guest.nics:
        for forward in nic.forwards if nic.segment else ():
            qemu_segment.close_forward(nic.segment, forward)


def _explain(guest, text):
    """One clear message from QEMU's own last words."""
    last = next((line for line in reversed(text.splitlines()) if line.strip()), text)
    last = re.sub(r"^\S*qemu\S*: (-[a-z]+ \S+: )?", "", last)      # drop the option, which can be longer than the message
    if '"write" lock' in text or "another process using the image" in text:
        disk = next((disk.path for disk in guest.disks if disk.path in text), "a disk")
        return f"Guest {guest.name!r} cannot start: {disk} is in use by another QEMU process. Stop that one first."
    if "cannot set up guest memory" in text or "Cannot allocate memory" in text:
        return f"Guest {guest.name!r} cannot start: this host has no {guest.memory} MiB of memory for it. {last}."
    if "host forwarding rule" in text:
        return f"Guest {guest.name!r} cannot start: a forwarded port is in use on this host. {last}."
    return f"Guest {guest.name!r} cannot start: {last}."


def _choose_accelerator(guest, able):
    if guest.accel == "kvm" and not able.kvm:
        raise TargetError(f"Guest {guest.name!r} asks for KVM, which does not work on this host: {able.kvm_reason}. "
                          "Allow emulation with accel auto.")
    if guest.accel == "tcg":
        return "tcg", "asked for"
    return ("kvm" if able.kvm else "tcg"), able.kvm_reason


def _check_memory(guest):
    with open("/proc/meminfo", encoding="ascii") as stream:
        sizes = dict(line.split(":", 1) for line in stream)
    available = int(sizes.get("MemAvailable", "0 kB").split()[0]) // 1024
    if 0 < available < guest.memory:
        raise TargetError(f"Guest {guest.name!r} needs {guest.memory} MiB of memory; this host has {available} MiB available.")


def _with_ports(guest):
    """The guest with a free host port for each forward that names none."""
    taken = {forward.host_port for nic in guest.nics for forward in nic.forwards}
    nics = []
    for nic in guest.nics:
        forwards = []
        for forward in nic.forwards:
            port = forward.host_port
            while not port or (port in taken and not forward.host_port):
                port = process.free_port(forward.host_address)
            taken.add(port)
            forwards.append(forward._replace(host_port=port))
        nics.append(nic._replace(forwards=tuple(forwards)))
    return guest._replace(nics=tuple(nics))


def _own_files(run_dir):
    names = {STATE_FILE, command.PID_FILE, command.LOG_FILE, command.CONSOLE_LOG, command.CONSOLE_LOCK, command.QMP_SOCKET,
             command.SERIAL_SOCKET, command.UEFI_VARIABLES}
    try:
        # vl.XXXXXX: QEMU's throw-away files of disks with `snapshot`
        return sorted(name for name in os.listdir(run_dir) if name in names or name.startswith("vl."))
    except FileNotFoundError:
        return []


def _forget(run_dir):
    """Gives back what a guest that has ended held: its forwards into segments, and its files."""
    state = process.read_state(run_dir, STATE_FILE, _State)
    if state:
        _close_forwards(state.guest._replace(nics=_on_ports(state)))
    _remove_files(run_dir)


def _remove_files(run_dir):
    for name in _own_files(run_dir):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(run_dir, name))
