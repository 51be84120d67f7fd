# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Captures disks in use: passes while everything runs, the last one while the file systems are frozen.

docs/consistency.md says what that guarantees and why.
"""

import time
from contextlib import ExitStack, contextmanager
from typing import List, NamedTuple, Optional, Sequence, Tuple

from ..errors import RepositoryError, SourceError
from ..image.diskread import CaptureDisk
from ..image.pace import NO_LIMITS, Limits
from ..image.progress import CancelledError
from ..image.writer import DiskState
from ..priority import urgent
from ..source.consistency import NO_APPLICATIONS, NO_SNAPSHOTS
from ..source.freeze import Freezer
from ..source.hostmap import CapturedDisk, HostFilesystem, depends_on, filesystems_on
from ..source.livedisk import LiveDisk, Look
from ..source.overlay import Layer, Overlay, held
from ..source.ranges import Ranges
from ..source.watch import now
from .plain import plain

FREEZE_LIMIT = 10.0              # seconds
MAX_PASSES = 6                   # after the first, while everything runs
_SHARE = 0.6                     # of the limit that the last pass may be expected to take
_SHRINKS = 0.8                   # a pass that leaves more of what the one before left does not help
_SLOW = 100 << 20                # bytes a second: what the last pass is taken to do where the others were held back
_MAY_RUN_ON = ("vfat", "msdos", "exfat")     # cannot be frozen; hold boot files that nobody writes to while a machine runs


class Captured(NamedTuple):
    image: object                # ImageInfo
    looks: Tuple[Look, ...]      # of each disk, as captured


def mounted_from(sources) -> Tuple[HostFilesystem, ...]:
    """The file systems of this host that lie on these disks (anything with name, path and size), in the order in which to freeze them."""
    return filesystems_on([CapturedDisk(source.name, source.path, source.size) for source in sources])


def refuse_own_repository(location: dict, filesystems: Sequence[HostFilesystem]) -> None:
    """RepositoryError where a directory repository could not be written while these file systems are frozen."""
    if location.get("type", "directory") != "directory":
        return
    needed = depends_on(location["path"])
    for item in filesystems:
        if item.writable and (item.mount_device in needed or item.device in needed):
            raise RepositoryError(f"The repository at {location['path']} lies on the file system mounted at {item.path}, which is frozen while "
                                  "it is captured. Keep the repository on another disk, or in an object store.")


class LiveCapture:
    """One capture of disks in use. `disks` are `LiveDisk`s; all file systems that are mounted from them take part."""

    def __init__(self, writer_of, disks: Sequence[LiveDisk], filesystems: Sequence[HostFilesystem], progress, limit: float = FREEZE_LIMIT,
                 limits: Limits = NO_LIMITS, crash: bool = False, snapshots=NO_SNAPSHOTS,
                 applications=NO_APPLICATIONS):
        """`writer_of(progress)` makes the ImageWriter. `limits` hold back all passes but the last. `crash`: what cannot be frozen may run
        on. `snapshots` and `applications`: see source/consistency.py.
        """
        self._disks = disks
        self._filesystems = filesystems
        self._writable = [item for item in filesystems if item.writable]
        self._limit = limit
        self._limits = limits
        self._crash = crash
        self._snapshots = snapshots
        self._applications = applications
        self._passes = []        # type: List[dict]
        self._frozen_seconds = {}
        self._window = {}        # when the last freeze began and ended, in seconds since 1970 by the clock of the host
        self._freezer = Freezer([item.path for item in self._writable], limit)
        self._progress = _Progress(progress, self._freezer)
        self._writer = writer_of(self._progress)
        self._marked = 0.0

    def run(self, machine: dict, recoverability: Optional[dict] = None) -> Captured:
        """Raises SourceError, RepositoryError, CancelledError; there is no image then, and nothing is left frozen."""
        try:
            looks = self._copy()
            image = self._writer.commit(machine, self._consistency(), self._evidence(), recoverability)
            return Captured(image, tuple(looks))
        except BaseException:
            self._writer.give_up()
            raise

    def _copy(self) -> List[Look]:
        """All passes; returns what the last look at the disks has shown."""
        with ExitStack() as stack:
            stack.callback(self._snapshots.remove)
            self._snapshots.check()
            with urgent():
                stack.enter_context(self._freezer)       # a process that must not come too late
            self._copy_while_running()
            with ExitStack() as paused:
                paused.callback(self._applications.after_thaw)
                self._applications.before_freeze()
                looks, layers = self._copy_while_frozen()
            looks = self._copy_snapshots(looks, layers)
            reason = self._snapshots.overflowed()
            if reason:
                raise SourceError(reason)
        return looks

    # -- passes while everything runs -----------------------------------------------------------------------------------------

    def _copy_while_running(self) -> None:
        self._stop_briefly()             # tells what cannot be frozen before hours of reading
        looks = self._look(frozen=False)
        self._mark()
        with self._timed(sum(look.ranges.total for look in looks)):
            self._writer.first_pass([_capture_disk(*each) for each in zip(self._disks, looks)], self._limits)
        before = None
        for number in range(MAX_PASSES + 1):
            self._stop_briefly()         # so that what was written until now shows on the disks
            looked = time.monotonic()
            looks = self._look(frozen=False)
            states = [_state(*each) for each in zip(self._disks, looks)]
            left = self._writer.bytes_to_read(states)
            expected = time.monotonic() - looked + left / self._rate()
            if expected < self._limit * _SHARE / (4 if number == 0 else 1):
                return                   # one pass more shortens the freeze, unless it is short already
            if number == MAX_PASSES or (before is not None and left > before * _SHRINKS):
                if expected < self._limit * _SHARE:
                    return
                raise SourceError(self._too_much(looks, left, expected))
            before = left
            self._mark()
            with self._timed(left):
                self._writer.next_pass(states, self._limits)

    def _look(self, frozen: bool) -> List[Look]:
        return [disk.look(frozen, self._freezer.unable) for disk in self._disks]

    def _mark(self) -> None:
        """Everything that is written after this shows in the next look."""
        moment = now()
        self._stop_briefly()
        for disk in self._disks:
            disk.mark(moment)
        self._marked = moment.steady

    def _stop_briefly(self) -> None:
        self._freezer.sync()
        with self._progress.quiet(), self._freezer.frozen():
            pass
        self._refuse_unable()
        for disk in self._disks:
            disk.refresh()

    def _refuse_unable(self) -> None:
        for item in self._writable:
            if item.path in self._freezer.unable and item.kind not in _MAY_RUN_ON and not self._crash:
                raise SourceError(f"The file system at {item.path} ({item.kind}) cannot be frozen. Unmount it, capture a snapshot of it, "
                                  "or ask for a capture of consistency \"crash\", in which it may be torn.")

    @contextmanager
    def _timed(self, count: int):
        started = time.monotonic()
        yield
        self._passes.append({"bytes": count, "seconds": round(time.monotonic() - started, 3)})

    def _rate(self) -> float:
        """Bytes a second that the last pass should do."""
        count, seconds = sum(item["bytes"] for item in self._passes), sum(item["seconds"] for item in self._passes)
        rate = count / seconds if seconds else 0
        held_back = self._limits.reading.limited or self._limits.sending.limited
        return max(rate, _SLOW) if held_back or count < _SLOW else rate

    def _too_much(self, looks: Sequence[Look], left: int, expected: float) -> str:
        worst, most = "", -1
        for item in self._writable:
            count = sum(disk.dirty_of(item, look.dirty) for disk, look in zip(self._disks, looks))
            if count > most:
                worst, most = item.path, count
        seconds = max(time.monotonic() - self._marked, 0.1)
        notes = "".join(" ({0})".format(note) for disk in self._disks for note in disk.notes()[:1])
        return (f"The file systems would stand still for about {expected:.0f} s, too long for freeze_limit, {self._limit:g} s: {_mib(left)} "
                f"would have to be read in that time, most of it from the file system at {worst}, of which {_mib(most)} changed within "
                f"{seconds:.0f} s, {_mib(most / seconds)}/s{notes}. Capture it from an LVM snapshot, stop what writes to it, or raise "
                "freeze_limit.")

    # -- the last pass --------------------------------------------------------------------------------------------------------

    def _copy_while_frozen(self) -> Tuple[List[Look], List[List[Layer]]]:
        """The last pass over all that no snapshot holds; what of it shares chunks with a snapshot is returned, in memory."""
        self._freezer.sync()
        began = time.time()
        try:
            with self._progress.quiet(), urgent(), self._freezer.frozen() as done:
                self._refuse_other_mounts()
                self._snapshots.create()
                for disk in self._disks:
                    disk.refresh()
                looks = self._look(frozen=True)
                states = [_state(*each) for each in zip(self._disks, looks)]
                layers = [self._beside_snapshots(disk, look) for disk, look in zip(self._disks, looks)]
                with self._timed(self._writer.bytes_to_read(states)):
                    self._writer.next_pass(states)
        except (CancelledError, SourceError) as error:
            reason = self._freezer.failure()
            if not reason:
                raise
            raise SourceError(
                f"{reason} There is no image. Raise freeze_limit, stop what writes much, or see why the repository is slow.") from error
        self._window = {"began": began, "ended": time.time()}
        self._frozen_seconds = {item.path: item.seconds for item in done}
        return looks, layers

    def _refuse_other_mounts(self) -> None:
        if mounted_from(self._disks) != tuple(self._filesystems):
            raise SourceError("File systems were mounted or unmounted during the capture. Run it again.")

    def _beside_snapshots(self, disk: LiveDisk, look: Look) -> List[Layer]:
        shared = disk.left_out.align_out(self._writer.chunk_size).clip(0, disk.size)
        return held(look.ranges.intersect(shared), disk.read_at)

    # -- the pass over snapshots ----------------------------------------------------------------------------------------------

    def _copy_snapshots(self, looks: List[Look], layers: List[List[Layer]]) -> List[Look]:
        pieces = self._snapshots.pieces()
        if not pieces:
            return looks
        states, after = [], []
        for disk, look, kept in zip(self._disks, looks, layers):
            own = [piece for piece in pieces if piece.area.disk == disk.name]
            ranges = look.ranges
            for piece in own:
                ranges = ranges.union(piece.ranges)
            overlay = Overlay(kept + [Layer(piece.area.start, piece.area.start + piece.area.size, piece.read_at) for piece in own])
            for piece in own:
                needed = ranges.intersect(piece.ranges.align_out(self._writer.chunk_size))
                if not overlay.holds(needed):
                    raise SourceError(f"A snapshot covers another part of disk {disk.name} than was said. Run the capture again.")
            found = Look(ranges, Ranges(), look.parts)
            states.append(_state(disk, found)._replace(disk=_capture_disk(disk, found)._replace(read_at=overlay.read_at)))
            after.append(found)
        with self._timed(self._writer.bytes_to_read(states)):
            self._writer.next_pass(states, self._limits)
        return after

    # -- what the manifest says -----------------------------------------------------------------------------------------------

    def _consistency(self) -> str:
        if any(item.path in self._freezer.unable and item.kind not in _MAY_RUN_ON for item in self._writable):
            return "crash"
        return "application" if self._applications.succeeded() else "filesystem"

    def _evidence(self) -> dict:
        return {
            "method": "freeze", "freeze_limit": self._limit, "passes": self._passes, "window": self._window,
            "file_systems": [
                {"path": item.path, "kind": item.kind, "frozen": item.path in self._frozen_seconds,
                 "seconds": self._frozen_seconds.get(item.path, 0.0)} for item in self._writable],
            "snapshots": self._snapshots.evidence(), "applications": self._applications.evidence()}


class _Progress:
    """The job's progress, which also stops the work when the file systems are not frozen any more."""

    def __init__(self, progress, freezer: Freezer):
        self._progress = progress
        self._freezer = freezer
        self.phase = progress.phase
        self.advance = progress.advance
        self.quiet = progress.quiet

    def cancelled(self) -> bool:
        return bool(self._freezer.failure()) or self._progress.cancelled()


def _capture_disk(disk: LiveDisk, look: Look) -> CaptureDisk:
    return CaptureDisk(disk.name, disk.size, disk.sector_size, disk.read_at, look.ranges, tuple(plain(look.parts)))


def _state(disk: LiveDisk, look: Look) -> DiskState:
    return DiskState(_capture_disk(disk, look), look.dirty)


def _mib(count: float) -> str:
    return f"{count / (1 << 20):.0f} MiB"
