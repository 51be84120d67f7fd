# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts, finds, stops and removes QEMU guests.

A guest belongs to its run directory: QEMU's working directory is that directory, and this is also how a guest's process is recognised, so
that a process id that was used again is never mistaken for it. Nothing here stays running but QEMU and a `timeout` above it, which ends the
guest when its lifetime has passed, also when everything that knew of it is gone.
"""

# The library knows no AnsibleModule, whose run_command the rule asks for.
# pylint: disable=ansible-bad-function

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from typing import NamedTuple, Tuple

from ..errors import MachineError, TargetError
from ..machine.data import from_data, to_data
from . import qemu_command as command
from .qemu_command import Forward, Guest
from .qemu_firmware import find_firmware
from .qemu_probe import SANDBOX, abilities
from .qmp import Qmp

STATE_FILE = "guest.json"
_LOCK_FILE = "lock"
# QEMU gives back what it holds within seconds of being told to; these seconds are for slow disks.
_QUIT_SECONDS = 15
_START_SECONDS = 60
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
    pid = _find_process(run_dir, "qemu")
    if not pid:
        return None
    state = _read_state(run_dir)
    return state.running._replace(pid=pid) if state else RunningGuest("", run_dir, pid, "", "", (), 0, 0)


def start(guest, program=None):
    """Starts a guest, or finds that exactly this one runs already. Returns (RunningGuest, changed).

    Returns when QEMU has started all devices; the guest boots on from there. Raises TargetError.
    """
    command.check_guest(guest)
    os.makedirs(guest.run_dir, mode=0o700, exist_ok=True)
    with _locked(guest.run_dir):
        if not would_start(guest):
            return find(guest.run_dir), False
        _remove_files(guest.run_dir)
        return _start(guest, program), True


def would_start(guest):
    """True where `start` would start the guest, False where exactly this one runs. Raises TargetError where either is impossible."""
    command.check_guest(guest)
    if not _find_process(guest.run_dir, "qemu"):
        return True
    state = _read_state(guest.run_dir)
    if state is None or state.guest != guest:
        raise TargetError(f"A guest already runs in {guest.run_dir}, with other settings than those of {guest.name!r}. Stop it first.")
    return False


def stop(run_dir, timeout=60):
    """Ends a guest: asks it to shut down by its power button, and after `timeout` seconds takes it down.

    Returns how it ended: "not running", "powered down", "quit" or "killed".
    """
    if not os.path.isdir(run_dir):
        return "not running"
    with _locked(run_dir):
        if not _find_process(run_dir, "qemu"):
            return "not running"
        if timeout > 0 and _qmp(run_dir, "system_powerdown") and _wait_gone(run_dir, timeout):
            return "powered down"
        if _qmp(run_dir, "quit") and _wait_gone(run_dir, _QUIT_SECONDS):
            return "quit"
        _kill(run_dir)
        return "killed"


def remove(run_dir, timeout=0):
    """Ends a guest and removes everything of it from its run directory, and the directory itself once it is empty.

    Disks are not touched. Returns (changed, proofs): proofs are sentences, each checked after the fact. Raises TargetError where
    anything is left.
    """
    if not os.path.isdir(run_dir):
        return False, (f"{run_dir} does not exist",)
    state = _read_state(run_dir)
    how = stop(run_dir, timeout)
    with _locked(run_dir):
        _remove_files(run_dir)
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(run_dir, _LOCK_FILE))
        os.rmdir(run_dir)
    return True, tuple([f"the guest was {how}" if how != "not running" else "the guest was not running"] + _prove_gone(run_dir, state))


def _prove_gone(run_dir, state):
    left = [f"process {pid} still runs" for pid in [_find_process(run_dir, "qemu"), _find_process(run_dir, "timeout")] if pid]
    left += [f"{name} still exists in {run_dir}" for name in _own_files(run_dir)]
    ports = [(forward.host_address, forward.host_port) for forward in state.running.forwards] if state else []
    left += [f"port {address}:{port} is still in use" for address, port in ports if not _is_free(address, port)]
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
        _write_state(guest.run_dir, _State(guest, running))
        arguments = command.build_command(ready, able.program, accel, SANDBOX if able.sandbox else "", firmware)
        problem = _launch(guest, arguments)
        if problem is None:
            running = running._replace(pid=_find_process(guest.run_dir, "qemu"))
            _write_state(guest.run_dir, _State(guest, running))
            return running
        # A port that was free a moment ago may have been taken; another choice helps only where we chose.
        if "host forwarding rule" not in problem or ready.nics == guest.nics:
            break
    _remove_files(guest.run_dir)
    raise TargetError(_explain(guest, problem))


def _launch(guest, arguments):
    """Starts QEMU under its watcher. Returns None once it answers, else what it said before it ended."""
    log_path = os.path.join(guest.run_dir, command.LOG_FILE)
    with open(log_path, "wb") as log:
        # `timeout` ends QEMU when the lifetime has passed; the parent-death signal ends QEMU should someone kill `timeout`.
        process = subprocess.Popen(_watcher(guest.lifetime) + arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   cwd=guest.run_dir, env=dict(os.environ, TMPDIR=guest.run_dir), start_new_session=True)
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            # QEMU listens early, but greets only once all devices are up.
            with Qmp(guest.run_dir, command.QMP_SOCKET, timeout=max(1.0, deadline - time.monotonic())):
                return None
        except (OSError, TargetError):
            time.sleep(0.05)
    hung = process.poll() is None
    if hung:
        _kill(guest.run_dir)
        process.wait()
    with open(log_path, encoding="utf-8", errors="replace") as log:
        text = log.read().strip()
    return text or (f"it did not answer within {_START_SECONDS} s" if hung else f"it ended at once with status {process.returncode}")


def _watcher(lifetime):
    if not shutil.which("timeout"):
        raise TargetError("The program timeout is missing on this host: install coreutils.")
    watcher = ["timeout", "--kill-after=10", str(lifetime)]
    return watcher + (["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else [])


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
                port = _free_port(forward.host_address)
            taken.add(port)
            forwards.append(forward._replace(host_port=port))
        nics.append(nic._replace(forwards=tuple(forwards)))
    return guest._replace(nics=tuple(nics))


def _free_port(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def _is_free(address, port):
    with socket.socket() as probe:
        # Connections that the guest closed linger in TIME_WAIT; they hold nothing of it.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def _qmp(run_dir, name):
    """Sends one command. True where QEMU took it, or closed the socket because it is ending."""
    try:
        with Qmp(run_dir, command.QMP_SOCKET) as qmp:
            qmp.execute(name)
    except (OSError, TargetError):
        return False
    return True


def _kill(run_dir):
    for program in ("qemu", "timeout"):
        pid = _find_process(run_dir, program)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    if not _wait_gone(run_dir, _QUIT_SECONDS):
        raise TargetError(f"QEMU process {_find_process(run_dir, 'qemu')} in {run_dir} cannot be killed; it waits for the host's kernel.")


def _wait_gone(run_dir, seconds):
    """Waits for QEMU and its watcher to be gone."""
    deadline = time.monotonic() + seconds
    while _find_process(run_dir, "qemu") or _find_process(run_dir, "timeout"):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return True


def _find_process(run_dir, program):
    """Process id of the program (by the start of its name) whose working directory is `run_dir`, 0: none."""
    try:
        wanted = os.stat(run_dir)
    except OSError:
        return 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", "rb") as stream:
                if not stream.read().startswith(program.encode("ascii")):
                    continue
            if os.path.samestat(os.stat(f"/proc/{pid}/cwd"), wanted):
                return int(pid)
        except OSError:
            continue                       # gone meanwhile, a zombie, or another user's
    return 0


@contextlib.contextmanager
def _locked(run_dir):
    """One starter or stopper at a time for one run directory."""
    with open(os.path.join(run_dir, _LOCK_FILE), "a", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _own_files(run_dir):
    names = {STATE_FILE, command.PID_FILE, command.LOG_FILE, command.CONSOLE_LOG, command.CONSOLE_LOCK, command.QMP_SOCKET,
             command.SERIAL_SOCKET, command.UEFI_VARIABLES}
    try:
        # vl.XXXXXX: QEMU's throw-away files of disks with `snapshot`
        return sorted(name for name in os.listdir(run_dir) if name in names or name.startswith("vl."))
    except FileNotFoundError:
        return []


def _remove_files(run_dir):
    for name in _own_files(run_dir):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(run_dir, name))


def _read_state(run_dir):
    try:
        with open(os.path.join(run_dir, STATE_FILE), encoding="utf-8") as stream:
            return from_data(_State, json.load(stream))
    except (OSError, ValueError, MachineError):
        return None


def _write_state(run_dir, state):
    path = os.path.join(run_dir, STATE_FILE)
    with open(path + ".partial", "w", encoding="utf-8") as stream:
        json.dump(to_data(state), stream)
    os.replace(path + ".partial", path)
