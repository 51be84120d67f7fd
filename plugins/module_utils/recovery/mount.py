# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mounts a machine from its restored disks, and unmounts it: the interface of this area.

Only the given disks are ever looked at or mounted. Everything is mounted nosuid, nodev and noexec. A recovery image that is not read-only
has its journals replayed, as at the machine's own next start; a read-only one leaves every byte of the disks as it is.
"""

import contextlib
import os

from ..errors import TargetError
from ..machine.model import CONTAINERS
from . import syscalls
from .assemble import Hidden, NotReachable, assemble
from .backends import guestfs
from .layout import read_layouts, refuse_used, volumes_of
from .local import LocalHands
from .model import MountedRoot
from .session import Session
from .state import STATE_FOLDER, Record, State
from .teardown import tear_down

BACKENDS = ("auto", "kernel", "fuse", "guestfs")


def mount_machine(disks, mount_point, backend="auto", read_only=False, root="", state_folder=STATE_FOLDER, luks_keys=()):
    """Assembles a machine at `mount_point` and returns a MountedRoot. Mounted so already, it is returned as it is.

    :param disks: RestoredDisk of each disk of the machine.
    :param mount_point: an empty folder, made if it does not exist.
    :param backend: "kernel", "fuse" (and mtools for FAT) or "guestfs"; "auto" takes for each file system the first that can mount it, and
        guestfs for the whole machine where something needed lies inside LVM, MD, or LUKS with a key.
    :param read_only: nothing is written to the disks, not even the replay of a journal.
    :param root: the volume with the root where the disks hold several: "sda2", "/dev/vg0/root", or "sda2:@" for a subvolume of btrfs.
    :param luks_keys: LuksKey of the volumes that are to be opened. They are kept nowhere.

    Raises TargetError; then nothing is mounted or attached.
    """
    state, wanted = _request(disks, mount_point, backend, read_only, root, state_folder)
    with state.locked():
        record = state.load()
        if record and _is_complete(record):
            return _already(record, wanted)
        if record:
            tear_down(state, record)
        return _mount(state, wanted, tuple(luks_keys))


def check_machine(disks, mount_point, backend="auto", read_only=False, root="", state_folder=STATE_FOLDER):
    """Refuses what `mount_machine` would refuse before it mounts anything. Returns the machine.model.Disk of each. Raises TargetError."""
    state, wanted = _request(disks, mount_point, backend, read_only, root, state_folder)
    layouts = read_layouts(wanted.disks)
    refuse_used(wanted.disks, read_only, state)
    if not is_known(mount_point, state_folder):
        _check_mount_point(wanted.mount_point)
    return layouts


def unmount_machine(mount_point, state_folder=STATE_FOLDER):
    """Unmounts a machine, writes everything to its disks and detaches them. Returns whether there was something to do.

    Works also where the process that mounted was killed at any moment. Raises TargetError if a process had to be cut off, a file system had
    failed, or something could not be written: then the disks must not be started.
    """
    point = _absolute(mount_point)
    state = State(point, state_folder)
    with state.locked():
        record = state.load()
        if record is None:
            if syscalls.mount_at(point):
                raise TargetError(f"What is mounted at {point} was not mounted by us. Unmount it by hand.")
            return False
        tear_down(state, record)
        return True


def find_mounted(mount_point, state_folder=STATE_FOLDER):
    """The MountedRoot at `mount_point`, or None if no machine is completely mounted there."""
    record = State(_absolute(mount_point), state_folder).load()
    return _result(record) if record and _is_complete(record) else None


def is_known(mount_point, state_folder=STATE_FOLDER):
    """Tells whether `unmount_machine` would find something to do: a machine, or what a killed process left of one."""
    return State(_absolute(mount_point), state_folder).load() is not None


@contextlib.contextmanager
def mounted_machine(disks, mount_point, backend="auto", read_only=False, root="", state_folder=STATE_FOLDER, luks_keys=()):
    """The same for a `with` block: unmounts on every way out of it."""
    mounted = mount_machine(disks, mount_point, backend, read_only, root, state_folder, luks_keys)
    try:
        yield mounted
    finally:
        unmount_machine(mount_point, state_folder)


def _request(disks, mount_point, backend, read_only, root, state_folder):
    if backend not in BACKENDS:
        raise TargetError(f"There is no backend {backend!r}, only {', '.join(BACKENDS)}.")
    point = _absolute(mount_point)
    disks = tuple(disk._replace(path=_absolute(disk.path)) for disk in disks)
    return State(point, state_folder), Record(point, disks, backend, read_only, root)


def _mount(state, wanted, keys):
    layouts = read_layouts(wanted.disks)
    refuse_used(wanted.disks, wanted.read_only, state)
    _check_mount_point(wanted.mount_point)
    record = wanted._replace(layouts=layouts, created=not os.path.lexists(wanted.mount_point))
    try:
        state.save(record)
        if record.created:
            _make_folder(record.mount_point)
        record = _assemble(state, record, volumes_of(wanted.disks, layouts), keys)
        state.save(record)
        return _result(record)
    except BaseException as error:
        try:
            tear_down(state, state.load() or record)    # the record on disk knows how far it went
        except TargetError as second:
            raise TargetError(f"{error} {second}") from error
        raise


def _assemble(state, record, volumes, keys):
    """Chooses between this worker and the appliance. Returns the record of the mounted machine."""
    hidden = Hidden(tuple(sorted({volume.content.kind for volume in volumes}.intersection(CONTAINERS))), bool(keys))
    if record.backend == "guestfs":
        return _in_appliance(state, record, volumes, hidden, keys)
    try:
        done, assembly = _on_worker(state, record, volumes, hidden)
    except NotReachable as error:
        if record.backend != "auto" or not error.appliance_may:
            raise
        if not guestfs.is_installed():
            raise TargetError(f"{error} It may be reached with libguestfs: install {guestfs.PACKAGES} on the worker.") from error
        return _again_in_appliance(state, record, volumes, hidden, keys)
    more = assembly.unmountable or (assembly.unresolved and hidden.may_be_opened)
    if more and record.backend == "auto" and guestfs.is_installed():
        return _again_in_appliance(state, record, volumes, hidden, keys)
    return done


def _on_worker(state, record, volumes, hidden):
    with Session(state, record, record.read_only) as session, Session(state, record, True) as looking:
        hands = LocalHands(session, looking, volumes, record.mount_point, record.backend)
        assembly = assemble(hands, record.read_only, record.root, hidden)
        return _mounted(session.record, assembly), assembly


def _again_in_appliance(state, record, volumes, hidden, keys):
    """After the attempt on the worker is gone. The folder stays."""
    tear_down(state, state.load()._replace(created=False))
    state.save(record)
    return _in_appliance(state, record, volumes, hidden, keys)


def _in_appliance(state, record, volumes, hidden, keys):
    with Session(state, record, record.read_only) as session:
        hands = guestfs.ApplianceHands(session, volumes, [disk.path for disk in record.disks], keys)
        assembly = assemble(hands, record.read_only, record.root, hidden)
        hands.finish(record.mount_point)
        return _mounted(session.record, assembly)


def _mounted(record, assembly):
    return record._replace(status="mounted", mounts=assembly.mounts, missing=assembly.missing)


def _make_folder(path):
    try:
        os.makedirs(path, mode=0o700)
    except OSError as error:
        raise TargetError(f"The folder {path} cannot be made: {error.strerror}.") from error


def _check_mount_point(point):
    if not os.path.lexists(point):
        return
    if os.path.islink(point) or not os.path.isdir(point):
        raise TargetError(f"{point} is not a folder. Name an empty folder to mount at, or one that does not exist.")
    if syscalls.mount_at(point) or os.listdir(point):
        raise TargetError(f"{point} is in use: something is mounted there, or lies in it. Name an empty folder to mount at.")


def _is_complete(record):
    """Tells whether all that the record names is still mounted."""
    below = [entry.path for entry in syscalls.mounts_below(record.mount_point)]
    inside = "guestfs" in [each.backend for each in record.mounts]      # one mount shows them all
    paths = [record.mount_point + ("" if inside else each.path.rstrip("/")) for each in record.mounts]
    return record.status == "mounted" and all(path in below for path in paths)


def _already(record, wanted):
    disks, wanted_disks = ({(disk.name, disk.path) for disk in each.disks} for each in (record, wanted))
    same = (disks, record.read_only, record.root) == (wanted_disks, wanted.read_only, wanted.root)
    if not same or wanted.backend not in ("auto", record.backend):
        raise TargetError(f"Another machine, or this one in another way, is mounted at {record.mount_point}. Unmount it first.")
    return _result(record)


def _result(record):
    backends = sorted({each.backend for each in record.mounts})
    return MountedRoot(record.mount_point, record.mounts, record.missing, record.layouts, "+".join(backends), record.read_only)


def _absolute(path):
    """Without symbolic links above its last part, so that one place has one name."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)
