# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Assembles a machine with mounts on this worker: by its kernel, and by FUSE or mtools for what the kernel cannot mount."""

import contextlib
import os

from ..errors import MachineError, TargetError
from ..machine.tree import Tree
from . import processes, syscalls
from .backends import fuse, kernel, mtools
from .model import ROOT_KINDS, CannotMount, MountedVolume
from .session import Place

BACKENDS = {"auto": (kernel, fuse, mtools), "kernel": (kernel,), "fuse": (fuse, mtools)}

_PATIENCE = 10.0    # seconds


class LocalHands:
    """See `assemble`. The root comes to lie at `folder`.

    :param looking: a second session, one that never writes: the search for the root uses it.
    """

    def __init__(self, session, looking, volumes, folder, backend):
        self._session = session
        self._looking = looking
        self._folder = folder
        self._backends = BACKENDS[backend]
        self.volumes = volumes

    def can_hold_root(self, volume):
        return volume.content.kind in ROOT_KINDS

    def roots_on(self, volume):
        """The subvolumes of `volume` that hold a root, "" for the default one. Raises CannotMount."""
        with self._looked_at(volume, ()) as tree:
            if is_root(tree, ""):
                return [""]
        if volume.content.kind != "btrfs":
            return []
        with self._looked_at(volume, ("subvolid=5",)) as tree:      # the top level, whatever the default is
            folders = [name for name in tree.listdir("/") if tree.isdir("/" + name) and not tree.islink("/" + name)]
            return [name for name in folders if is_root(tree, "/" + name)]

    def mount(self, planned, path):
        """Mounts at `path`, free of symbolic links. Raises CannotMount."""
        with self._place(path) as place:
            return self._mount(self._session, planned.volume, planned.options, planned.read_only, path, place)

    def resolve(self, path):
        """Where `path` lies, free of symbolic links. Raises MachineError if that is no folder."""
        tree = Tree(self._folder)
        if not tree.isdir(path):
            raise MachineError("its mount point does not exist in the machine, or is no folder")
        return tree.resolve(path)

    def text(self, path):
        """What the machine's file holds, "" where there is none."""
        tree = Tree(self._folder)
        return tree.read_text(path) if tree.exists(path) else ""

    def name_opened(self, crypttab):
        """Nothing is opened on this worker."""

    def finish(self, folder):
        """Everything is in its place already."""

    @contextlib.contextmanager
    def _looked_at(self, volume, options):
        with self._place("/") as place:
            self._mount(self._looking, volume, options, True, "/", place)
        try:
            yield Tree(self._folder)
        finally:
            error = syscalls.unmount_below(self._folder, _PATIENCE)
            processes.wait_until_gone(self._session.tag, _PATIENCE)
            self._session.update(mounts=())
        if error:
            raise TargetError(f"{self._folder} cannot be unmounted: {error.strerror}. "
                              f"In use by: {', '.join(processes.users_of_folder(self._folder)) or 'unknown'}.")

    @contextlib.contextmanager
    def _place(self, path):
        if path != "/":
            with Tree(self._folder).directory(path) as descriptor:
                yield Place(descriptor, self._folder + path)
            return
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield Place(descriptor, self._folder)
        finally:
            os.close(descriptor)

    def _mount(self, session, volume, options, read_only, path, place):
        kind = volume.content.kind
        reasons = []
        for backend in self._backends:
            if kind not in backend.KINDS:
                continue
            mounted = MountedVolume(volume.disk, volume.partition, path, kind, backend.NAME, read_only)
            self._session.begin(mounted)
            try:
                backend.mount_volume(session, volume, place, options, read_only)
                _prove(volume, place, read_only or session.untouched)
                return mounted
            except CannotMount as error:
                syscalls.unmount_below(place.path, _PATIENCE)   # mounted, but not as it should be
                self._session.withdraw(mounted)
                reasons.append(str(error))
        raise CannotMount("; ".join(reasons) or f"{volume.label}: nothing here mounts {kind}")


def is_root(tree, folder):
    """Tells whether the root of a Linux machine lies in `folder` of the tree. Links are not followed: they mean another root here."""
    files = [folder + path for path in ("/etc/os-release", "/usr/lib/os-release", "/etc/fstab")]
    programs = [folder + path for path in ("/usr", "/bin")]
    return any(tree.isfile(path) or tree.islink(path) for path in files) and any(tree.isdir(path) or tree.islink(path) for path in programs)


def _prove(volume, place, read_only):
    """The kernel may have mounted elsewhere, or read-only although asked otherwise."""
    entry = syscalls.mount_at(place.path)
    if entry is None:
        raise CannotMount(f"{volume.label}: it was mounted, but not at {place.path}")
    if not read_only and not entry.writable:
        raise CannotMount(f"{volume.label}: it could be mounted read-only at most; the disk or the file system refuses to be written")
