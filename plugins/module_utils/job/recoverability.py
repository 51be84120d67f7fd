# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the running machine can be recovered on each known platform, judged while it is captured.

A process of its own does it, for a limited time, so that nothing that it comes upon can harm the capture: neither a defect, nor a file
that takes all memory to unpack, nor a file system that does not answer. The machine's root is only read, and only what lies on its disks.
"""

import json
import os
import select
import signal
import time
from contextlib import ExitStack

from ..errors import SourceError
from ..fixup.recoverability import NOT_JUDGED, Recoverability, Verdict, firmware_note, judge, kept, not_judged
from ..machine.data import from_data, to_data
from ..machine.disk import read_disk
from ..machine.tree import Tree
from ..source.disk import open_disk
from ..source.hostmap import CapturedDisk, filesystems_on, foreign_mounts
from ..source.selection import select_disks
from ..target.profile import PROFILES

LIMIT = 30.0                         # seconds; the work is some two seconds of processor time
OTHERS = ("Only the running machine itself is judged at capture, and these disks are not its own, or not in use. Judge them by the module "
          "recovery_plan, on the mounted recovery image.")
NO_ROOT = "The root file system of this host is not on the captured disks."
_EFI = "/sys/firmware/efi"           # is there if UEFI firmware started this host (kernel Documentation/ABI/testing/sysfs-firmware-efi)
_PATIENCE = 5.0                      # seconds that a killed process may take to go, on a busy host


def running_root(filesystems):
    """The root of this host as a Tree, of which only `filesystems` (HostFilesystem) show. None: its root is not one of them."""
    if all(item.path != "/" for item in filesystems):
        return None
    return Tree("/", hidden=foreign_mounts(filesystems))


def judge_running_machine(disks, filesystems, cancelled=lambda: False, limit=LIMIT) -> Recoverability:
    """`disks`: the captured ones (machine.model.Disk); `filesystems`: those mounted from them. Raises nothing on the machine's account."""
    tree = running_root(filesystems)
    if tree is None:
        return not_judged(NO_ROOT)
    return judge_apart(tree, disks, cancelled, limit)


def judge_host(exclude, profiles):
    """(notes, Judgement of each profile) for this host, with the disks that a capture would take (`exclude`: see select_disks).

    Nothing is captured and no time is set. Raises SourceError.
    """
    chosen = [disk for disk in select_disks(exclude) if disk.taken]
    with ExitStack() as stack:
        sources = [stack.enter_context(open_disk(disk.path, disk.name, live=True)) for disk in chosen]
        filesystems = filesystems_on([CapturedDisk(source.name, source.path, source.size) for source in sources])
        disks = [read_disk(source.name, source.read_at, source.size, source.sector_size) for source in sources]
    tree = running_root(filesystems)
    if tree is None:
        raise SourceError(NO_ROOT)
    return _notes(tree, disks), list(judge(tree, disks, profiles))


def judge_apart(tree, disks, cancelled, limit) -> Recoverability:
    """In a process of its own, for at most `limit` seconds. What is not judged then says so."""
    reading, writing = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        return not_judged(f"No process could be started for it: {error.strerror}.")
    if child == 0:
        # Nothing of the caller's code may run here, whatever happens.
        try:
            _become_judge(writing, limit)
            _judge(tree, disks, writing)
        finally:
            os._exit(0)
    os.close(writing)
    deadline = time.monotonic() + limit
    try:
        lines = _read_lines(reading, deadline, cancelled)
    finally:
        os.close(reading)
        _end(child)
    too_late = time.monotonic() >= deadline
    return _gathered(lines, f"It took longer than {limit:g} s." if too_late else "The process that judged it ended too early.")


def _become_judge(keep, limit):
    """Of what the caller has open, the lock of a repository above all, nothing is kept."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(limit) + 2)         # should the caller be gone
    os.closerange(3, keep)
    os.closerange(keep + 1, min(os.sysconf("SC_OPEN_MAX"), 65536))
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")           # if this host runs out of memory, this process goes and nothing else
    except OSError:
        pass


def _judge(tree, disks, writing):
    """One line of JSON for what holds for all targets, then one for each of them."""
    _write(writing, {"notes": _notes(tree, disks)})
    for judgement in judge(tree, disks, list(PROFILES.values())):
        _write(writing, to_data(kept(judgement)))


def _notes(tree, disks):
    note = firmware_note(tree, disks, os.path.isdir(_EFI))
    return [note] if note else []


def _write(descriptor, data):
    line = json.dumps(data).encode("ascii") + b"\n"
    while line:
        line = line[os.write(descriptor, line):]


def _read_lines(reading, deadline, cancelled):
    """Complete lines until the other end is closed, the time is over, or the job is cancelled."""
    data = b""
    while not cancelled():
        left = deadline - time.monotonic()
        if select.select([reading], [], [], max(0.0, min(0.2, left)))[0]:
            block = os.read(reading, 65536)
            if not block:
                break
            data += block
        elif left <= 0:
            break
    return [json.loads(line.decode("ascii")) for line in data.split(b"\n")[:-1]]


def _end(child):
    """A process that waits for a device that does not answer cannot be killed; it goes when that answers, or with this one."""
    os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + _PATIENCE
    while not os.waitpid(child, os.WNOHANG)[0] and time.monotonic() < deadline:
        time.sleep(0.01)


def _gathered(lines, why_not_all):
    notes = tuple(note for line in lines[:1] for note in line["notes"])
    found = {verdict.target: verdict for verdict in (from_data(Verdict, line) for line in lines[1:])}
    if not found:
        return not_judged(why_not_all)
    return Recoverability(tuple(found.get(name) or Verdict(name, NOT_JUDGED, reason=why_not_all) for name in PROFILES), notes)
