# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One case: its source's disk captured, restored, mounted, fixed up, booted on the target's hardware, and asked who it is.

The product does it all: its capture and restore jobs, its mounts, its fix-ups, its QEMU guest.
"""

import contextlib
import http.client
import os
import shutil
import subprocess
import time

from typing import Dict, NamedTuple, Tuple

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RecoveryError
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import change, engine
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.situation import MappedAddress, NetworkOptions, Options, TargetNic
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job.initialise import ensure_repository
from ansible_collections.agnostic.recovery.plugins.module_utils.job.tasks import run as run_job
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.model import RestoredDisk
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.mount import mounted_machine
from ansible_collections.agnostic.recovery.plugins.module_utils.target import qemu, qemu_probe, qemu_screen
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import get_profile
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_command import Forward, Guest, GuestDisk, GuestNic

from . import machine
from .cases import Case
from .disks import Built

MAC = "52:54:00:12:34:56"            # the target's card: another than the source's
PASSPHRASE = "a test passphrase that protects nothing"
MEMORY = 1024                        # MiB


class Patience(NamedTuple):
    """When a machine that does not answer is given up. Processor time tells how far it is also on a busy host; seconds do not."""
    seconds: float = 10800.0
    processor: float = 400.0         # seconds of QEMU's processor time
    idle: float = 0.0                # seconds in which it does next to nothing, longer than systemd waits for a device; 0: never


IDLE_SHARE = 0.35                    # of the time a guest wants a processor that only waits: each of its ticks may wait long on a busy host
CONTROL_IDLE = 110.0
CONTROL_LEAST = 60.0                 # processor time given to a machine without fix-ups, or CONTROL_FACTOR times what it took with them
CONTROL_FACTOR = 2.5
ATTEMPTS = 3
STARVED = "the host was too busy to emulate a timer"
STARVED_SHARE = 0.15                 # of the time it wanted: below it udev takes longer for its devices than systemd waits for them


class Boot(NamedTuple):
    answered: bool
    seconds: float                   # from the start of QEMU to the answer, or until it was given up
    processor: float                 # seconds of processor time that QEMU used
    said: Dict[str, str]             # what the machine tells of itself
    reason: str                      # why it does not count as recovered, "": it does


class Recovery(NamedTuple):
    seconds: Dict[str, float]        # of each step
    changes: int
    findings: Tuple[str, ...]        # errors and warnings
    problems: Tuple[str, ...]        # of verify
    again: int                       # changes that a second plan would still make


def capture(built: Built, name: str, folder: str) -> float:
    """Makes the repository and captures the disk into it. Returns seconds. Raises RecoveryError."""
    options = dict(_repository(folder), key_file=None, unencrypted=False, chunk_size=None, capture_credential_file=None)
    began = time.monotonic()
    ensure_repository(options, check=False)
    run_job(dict(_repository(folder), kind="capture", machine=name, disks=[{"name": built.name, "path": built.disk}]), NoProgress())
    return time.monotonic() - began


def restore(built: Built, name: str, folder: str, path: str) -> float:
    began = time.monotonic()
    run_job(dict(_repository(folder), kind="restore", machine=name, disks=[{"name": built.name, "path": path}], force=True), NoProgress())
    return time.monotonic() - began


def _repository(folder):
    return {"repository": {"type": "directory", "path": os.path.join(folder, "repository"), "create": True}, "passphrase": PASSPHRASE}


def fix_up(case: Case, built: Built, path: str, folder: str) -> Recovery:
    """Raises RecoveryError."""
    seconds = {}
    began = time.monotonic()
    with mounted_machine([RestoredDisk(built.name, path)], os.path.join(folder, "recovery"), state_folder=os.path.join(folder, "mounts")) \
            as mounted:
        seconds["mount"] = time.monotonic() - began
        tree = Tree(mounted.root)
        profile = get_profile(case.target.profile)
        options = Options("union", _network(case), case.firmware)
        result = engine.fix_up(tree, mounted.disks, profile, options)
        seconds.update(result.seconds)
        again = engine.fix_up(tree, mounted.disks, profile, options, only_plan=True)
        began = time.monotonic()
    seconds["unmount"] = time.monotonic() - began
    findings = tuple(f"{finding.severity}: {finding.text}" for finding in result.plan.findings if finding.severity != "info")
    return Recovery(seconds, len(change.plan_data(result.plan)["changes"]), findings, result.problems, len(again.plan.changes))


def _network(case):
    mode = case.target.network
    if mode == "mapped" and case.source.network.endswith("dhcp"):
        mode = "keep"                # there is no address to map
    mapped = MappedAddress(machine.ADDRESS, f"{machine.MAPPED_ADDRESS}/{machine.PREFIX}", machine.MAPPED_GATEWAY)
    return NetworkOptions(mode, (TargetNic(MAC),), (mapped,) if mode == "mapped" else ())


def control_patience(processor: float) -> Patience:
    """For the same disk without fix-ups; `processor`: the seconds that it took with them, 0: it did not come up."""
    return Patience(processor=max(CONTROL_LEAST, CONTROL_FACTOR * processor), idle=CONTROL_IDLE)


def boot(case: Case, built: Built, path: str, folder: str, patience: Patience, kept: str, disk_format: str = "raw") -> Boot:
    """Starts the guest and waits for the machine's answer over the network. `kept`.log and .png hold what it showed where it fails."""
    moved = case.target.network != "keep"
    nic = GuestNic(
        case.target.nic, MAC, machine.MAPPED_NETWORK if moved else machine.NETWORK,
        machine.MAPPED_GATEWAY if moved else machine.GATEWAY, machine.MAPPED_ADDRESS if moved else machine.ADDRESS, True, (Forward(80),))
    guest = Guest("matrix", os.path.join(folder, "guest"), (GuestDisk(path, disk_format, case.bus, snapshot=True),), (nic,),
                  case.firmware, case.target.machine, MEMORY, 1, lifetime=int(patience.seconds) + 300)
    for _attempt in range(ATTEMPTS):
        booted = _boot_once(guest, built, patience, kept)
        if booted.reason != STARVED:
            break
    return booted


def _boot_once(guest, built, patience, kept):
    began = time.monotonic()
    running, _changed = qemu.start(guest)
    try:
        answer, reason, used, wanted = _wait(running, patience)
        took = time.monotonic() - began
        said = dict(line.split("=", 1) for line in answer.splitlines() if "=" in line)
        if reason and reason != STARVED and used < STARVED_SHARE * wanted:
            reason += f"; the host gave it {100 * used / wanted:.0f} % of the processor time it wanted, which may be why"
        reason = reason or _differs(said, built)
        if reason:
            _keep(guest.run_dir, kept)
        return Boot(bool(answer), round(took, 1), round(used, 1), said, reason)
    finally:
        qemu.remove(guest.run_dir)


def _wait(running, patience):
    """(the machine's answer, why it was given up, seconds that QEMU had a processor, and that it wanted one)."""
    began = idle_since = time.monotonic()
    wanted_then = used = waited = 0.0
    while True:
        answer = _ask(running.forwards[0].host_port)
        if answer:
            return answer, "", max(used, _processor_time(running.pid)[0]), used + waited
        time.sleep(1)
        now = time.monotonic()
        try:
            used, waited = _processor_time(running.pid)
        except OSError:
            return "", f"the guest ended after {now - began:.0f} s", used, used + waited
        if used + waited - wanted_then > IDLE_SHARE * max(now - idle_since, 10.0):
            idle_since, wanted_then = now, used + waited
        for given_up, reason in (
                (_is_starved(running.run_dir), STARVED),
                (now - began > patience.seconds, f"no answer over the network within {now - began:.0f} s"),
                (used > patience.processor, f"no answer over the network within {used:.0f} s of processor time"),
                (patience.idle and now - idle_since > patience.idle, f"no answer over the network, and idle for {patience.idle:.0f} s")):
            if given_up:
                return "", reason, used, used + waited


def _is_starved(run_dir):
    """Whether the kernel gave up because it found no timer interrupts while it started: the host had no time to emulate them."""
    text = ""
    with contextlib.suppress(OSError), open(os.path.join(run_dir, "console.log"), encoding="utf-8", errors="replace") as file:
        text = file.read()
    return "IO-APIC + timer doesn't work" in text


def _processor_time(pid):
    """Seconds that the threads of a process ran, and that they waited for a processor: /proc/PID/task/TID/schedstat, in nanoseconds."""
    ran = waited = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{tid}/schedstat", encoding="ascii") as file:
            fields = file.read().split()
            ran, waited = ran + int(fields[0]), waited + int(fields[1])
    return ran / 1e9, waited / 1e9


def _ask(port):
    """QEMU takes the connection itself and knocks at the guest only then; silence means that nobody was there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        return response.read().decode("utf-8", "replace") if response.status == 200 else ""
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def _differs(said, built):
    wrong = [f"{key} is {said.get(key)!r}, not {value!r}" for key, value in built.identity._asdict().items() if said.get(key) != value]
    return "; ".join(wrong)


def _keep(run_dir, kept):
    """What the machine last showed: its serial console, its screen as text and as a picture."""
    texts = []
    with contextlib.suppress(OSError), open(os.path.join(run_dir, "console.log"), encoding="utf-8", errors="replace") as file:
        texts += ["serial console:", file.read()]
    with contextlib.suppress(OSError, RecoveryError):
        texts += ["screen:", qemu_screen.read_text_screen(run_dir)]
    with contextlib.suppress(OSError, RecoveryError):
        qemu_screen.take_screenshot(run_dir, kept + ".png")
    with open(kept + ".log", "w", encoding="utf-8") as file:
        file.write("\n".join(texts) + "\n")


def copy(source: str, target: str) -> None:
    subprocess.run(["cp", "--sparse=always", source, target], check=True)


def convert_with_virt_v2v(path: str, folder: str, log: str) -> Tuple[float, str]:
    """(seconds, path of the disk that Debian's virt-v2v has made of this one). Raises CalledProcessError."""
    output = os.path.join(folder, "v2v")
    shutil.rmtree(output, ignore_errors=True)
    os.makedirs(output)
    environment = dict(os.environ, LIBGUESTFS_BACKEND="direct")
    if not qemu_probe.abilities().kvm:
        environment["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"        # /dev/kvm may exist and yet hang
    began = time.monotonic()
    with open(log, "wb") as file:
        subprocess.run(["virt-v2v", "-i", "disk", path, "-o", "local", "-os", output, "-of", "qcow2", "-on", "machine"],
                       stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=True, env=environment)
    return time.monotonic() - began, os.path.join(output, "machine-sda")
