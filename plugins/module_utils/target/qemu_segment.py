# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network segment that QEMU guests of one host share, so that the servers of an application reach each other under their own addresses.

`vde_switch` (Virtual Distributed Ethernet) is its switch, on UNIX sockets that only their owner reaches: nothing of a segment leaves the
host. A QEMU process without a machine is plugged in as its gateway: its user network leads forwarded ports of the host into the segment. It
must be a switch: the user network takes each packet that it sees for one to itself, and would refuse what guests send to each other.
"""

import contextlib
import ipaddress
import os
import shutil
import subprocess
import tempfile
import time

from typing import NamedTuple

from ..errors import TargetError
from . import qemu_process as process
from .qemu_command import LOG_FILE, PID_FILE, QMP_SOCKET, GuestNic, nic_addresses, user_network
from .qemu_probe import SANDBOX, abilities
from .qmp import Qmp

STATE_FILE = "segment.json"
_SOCKETS = "/run"                     # a UNIX socket's address has 107 bytes only, so the switch does not lie in the run directory
_SWITCH_SECONDS = 20
_USER = "outside"                     # id of the user network


class Segment(NamedTuple):
    run_dir: str                      # absolute; belongs to this segment alone
    network: str = "192.0.2.0/24"
    gateway: str = ""                 # "": first address of the network
    isolated: bool = True             # its guests reach nothing outside
    lifetime: int = 3600              # seconds after which it is ended whatever happens


class RunningSegment(NamedTuple):
    segment: Segment
    sockets: str                      # folder with the sockets of the switch


def find(run_dir):
    """The segment that runs in `run_dir`, None where none does."""
    return process.read_state(run_dir, STATE_FILE, RunningSegment) if process.find_process(run_dir, "qemu") else None


def start(segment, program=None):
    """Starts a segment, or finds that exactly this one runs already. Returns (RunningSegment, changed). Raises TargetError."""
    if not os.path.isabs(segment.run_dir):
        raise TargetError(f"The segment's run directory {segment.run_dir!r} must be an absolute path.")
    network = _user_network(segment)
    os.makedirs(segment.run_dir, mode=0o700, exist_ok=True)
    with process.locked(segment.run_dir):
        if not would_start(segment):
            return find(segment.run_dir), False
        _clear(segment.run_dir)                      # what one that has ended left
        running = RunningSegment(segment, tempfile.mkdtemp(prefix="agnostic-recovery-", dir=_SOCKETS))
        process.write_state(segment.run_dir, STATE_FILE, running)
        try:
            _start_switch(running)
            _start_gateway(running, network, abilities(program))
        except TargetError:
            process.kill(segment.run_dir)
            _clear(segment.run_dir)
            raise
        return running, True


def remove(run_dir):
    """Ends a segment and removes everything of it. Returns (changed, proofs), sentences that were checked. Raises TargetError."""
    if not os.path.isdir(run_dir):
        return False, (f"{run_dir} does not exist",)
    with process.locked(run_dir):
        process.kill(run_dir)
        running = _clear(run_dir)
    process.remove_run_dir(run_dir)
    proofs = [f"no process runs in {run_dir}"]
    if running:
        proofs.append(f"{running.sockets} does not exist")
    return True, tuple(proofs)


def _start_switch(running):
    if not shutil.which("vde_switch"):
        raise TargetError("The program vde_switch is missing on this host: install vde-switch or vde2. Guests share a segment through it.")
    # It ends when its input does; the other end of this pipe is its own.
    reading, writing = os.pipe()
    try:
        arguments = ["vde_switch", "-s", _switch(running), "-m", "600"]
        watcher = process.start_watched(running.segment.run_dir, running.segment.lifetime, arguments, stdin=reading, pass_fds=(writing,),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finally:
        os.close(reading)
        os.close(writing)
    deadline = time.monotonic() + _SWITCH_SECONDS
    while not os.path.exists(os.path.join(_switch(running), "ctl")):
        if watcher.poll() is not None or time.monotonic() > deadline:
            raise TargetError(f"The switch of the segment in {running.segment.run_dir} does not start.")
        time.sleep(0.05)


def _start_gateway(running, network, able):
    segment = running.segment
    arguments = [able.program, "-name", "segment", "-nodefaults", "-no-user-config", "-machine", "none", "-display", "none"]
    arguments += ["-sandbox", SANDBOX] if able.sandbox else []
    arguments += ["-netdev", f"{network},id={_USER}", "-netdev", f"vde,sock={_switch(running)},id=guests"]
    for number, name in enumerate((_USER, "guests")):
        arguments += ["-netdev", f"hubport,id=port{number},hubid=0,netdev={name}"]
    arguments += ["-chardev", f"socket,id=qmp0,path={QMP_SOCKET},server=on,wait=off", "-mon", "chardev=qmp0,mode=control"]
    problem = process.launch(segment.run_dir, segment.lifetime, arguments + ["-pidfile", PID_FILE])
    if problem is not None:
        raise TargetError(f"The segment in {segment.run_dir} cannot start: {problem.splitlines()[-1]}.")


def would_start(segment):
    """True where `start` would start it, False where exactly this one runs. Raises TargetError where another one runs there."""
    if not process.find_process(segment.run_dir, "qemu"):
        return True
    running = find(segment.run_dir)
    if running is None or running.segment != segment:
        raise TargetError(f"A segment with other settings runs in {segment.run_dir} already. End that one first.")
    return False


def netdev(run_dir):
    """Options of -netdev that connect a guest to the segment that runs in `run_dir`. Raises TargetError where none does."""
    running = find(run_dir)
    if running is None:
        raise TargetError(f"No segment runs in {run_dir}. Start it before its guests.")
    return f"vde,sock={_switch(running)}"


def open_forward(run_dir, address, forward):
    """Leads a port of this host to the port of the guest that has `address` in the segment. Returns what QEMU says against it, "": nothing."""
    return _tell(run_dir, f"hostfwd_add {_USER} tcp:{forward.host_address}:{forward.host_port}-{address}:{forward.guest_port}")


def close_forward(run_dir, forward):
    """Ends a forward. Where it, or the segment, is gone already, that is fine."""
    with contextlib.suppress(OSError, TargetError):
        _tell(run_dir, f"hostfwd_remove {_USER} tcp:{forward.host_address}:{forward.host_port}")


def _tell(run_dir, line):
    with Qmp(run_dir, QMP_SOCKET) as qmp:
        return qmp.execute("human-monitor-command", **{"command-line": line}).strip()


def _user_network(segment):
    network, gateway, _guest, dns = nic_addresses(GuestNic(network=segment.network, gateway=segment.gateway))
    return user_network(network, gateway, str(ipaddress.IPv4Network(network)[-2]), dns, segment.isolated)


def _switch(running):
    return os.path.join(running.sockets, "switch")


def _clear(run_dir):
    """Removes the files of a segment that runs no more. Returns its RunningSegment, None where there was none."""
    running = process.read_state(run_dir, STATE_FILE, RunningSegment)
    if running:
        shutil.rmtree(running.sockets, ignore_errors=True)
        if os.path.exists(running.sockets):
            raise TargetError(f"The sockets of a segment in {running.sockets} cannot be removed. Remove that folder.")
    for name in (QMP_SOCKET, PID_FILE, LOG_FILE, STATE_FILE):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(run_dir, name))
    return running
