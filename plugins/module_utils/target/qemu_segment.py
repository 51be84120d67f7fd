# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network segment that QEMU guests of one host share, so that the servers of an application reach each other under their own addresses.

A QEMU process without a machine holds it: a hub joins QEMU's user network, which gives the segment its gateway and leads forwarded ports
of the host into it, with a multicast group on the loopback device, over which QEMU's `socket` back end carries Ethernet frames between all
its members (QEMU invocation documentation, -netdev socket,mcast= and -netdev hubport). Nothing of it leaves the host, and no privilege is
needed; but every local user can join the group, so workers have no accounts for others.
"""

import contextlib
import ipaddress
import json
import os
import secrets

from typing import NamedTuple

from ..errors import MachineError, TargetError
from ..machine.data import from_data, to_data
from . import qemu_process as process
from .qemu_command import PID_FILE, QMP_SOCKET, GuestNic, nic_addresses, user_network
from .qemu_probe import SANDBOX, abilities
from .qmp import Qmp

STATE_FILE = "segment.json"
_LOOPBACK = "127.0.0.1"
_USER = "outside"                     # id of the user network


class Segment(NamedTuple):
    run_dir: str                      # absolute; belongs to this segment alone
    network: str = "192.0.2.0/24"
    gateway: str = ""                 # "": first address of the network
    isolated: bool = True             # its guests reach nothing outside
    lifetime: int = 3600              # seconds after which it is ended whatever happens


class RunningSegment(NamedTuple):
    segment: Segment
    group: str                        # address and port of the multicast group, "239.1.2.3:40001"


def find(run_dir):
    """The segment that runs in `run_dir`, None where none does."""
    if not process.find_process(run_dir, "qemu"):
        return None
    try:
        with open(os.path.join(run_dir, STATE_FILE), encoding="utf-8") as stream:
            return from_data(RunningSegment, json.load(stream))
    except (OSError, ValueError, MachineError):
        return None


def start(segment, program=None):
    """Starts a segment, or finds that exactly this one runs already. Returns (RunningSegment, changed). Raises TargetError."""
    if not os.path.isabs(segment.run_dir):
        raise TargetError(f"The segment's run directory {segment.run_dir!r} must be an absolute path.")
    network = _user_network(segment)
    os.makedirs(segment.run_dir, mode=0o700, exist_ok=True)
    with process.locked(segment.run_dir):
        if not would_start(segment):
            return find(segment.run_dir), False
        able = abilities(program)
        running = RunningSegment(segment, _new_group())
        arguments = [able.program, "-name", "segment", "-nodefaults", "-no-user-config", "-machine", "none", "-display", "none"]
        arguments += ["-sandbox", SANDBOX] if able.sandbox else []
        arguments += ["-netdev", f"{network},id={_USER}", "-netdev", f"{group_options(running.group)},id=guests"]
        for number, name in enumerate((_USER, "guests")):
            arguments += ["-netdev", f"hubport,id=port{number},hubid=0,netdev={name}"]
        arguments += ["-chardev", f"socket,id=qmp0,path={QMP_SOCKET},server=on,wait=off", "-mon", "chardev=qmp0,mode=control"]
        problem = process.launch(segment.run_dir, segment.lifetime, arguments + ["-pidfile", PID_FILE])
        if problem is not None:
            raise TargetError(f"The segment in {segment.run_dir} cannot start: {problem.splitlines()[-1]}.")
        _write_state(running)
        return running, True


def would_start(segment):
    """True where `start` would start it, False where exactly this one runs. Raises TargetError where another one runs there."""
    if not process.find_process(segment.run_dir, "qemu"):
        return True
    running = find(segment.run_dir)
    if running is None or running.segment != segment:
        raise TargetError(f"A segment with other settings runs in {segment.run_dir} already. End that one first.")
    return False


def group_options(group):
    """Options of -netdev that join the multicast group."""
    return f"socket,mcast={group},localaddr={_LOOPBACK}"


def group_of(run_dir):
    """The multicast group of the segment that runs in `run_dir`. Raises TargetError where none does."""
    running = find(run_dir)
    if running is None:
        raise TargetError(f"No segment runs in {run_dir}. Start it before its guests.")
    return running.group


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


def _new_group():
    """A group of the block for use within an organisation (RFC 2365: 239.192.0.0/14), drawn from 2^32: segments of a host do not meet."""
    return f"239.{192 + secrets.randbelow(4)}.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}:{40000 + secrets.randbelow(20000)}"


def _write_state(running):
    path = os.path.join(running.segment.run_dir, STATE_FILE)
    with open(path + ".partial", "w", encoding="utf-8") as stream:
        json.dump(to_data(running), stream)
    os.replace(path + ".partial", path)
