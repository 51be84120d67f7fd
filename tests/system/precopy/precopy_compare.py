# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a capture of a disk in use is held against."""

import contextlib
import os

from file_trees import tree_of
from precopy_disk import check, extracted, mounted
from precopy_load import records

from ansible_collections.agnostic.recovery.plugins.module_utils.job import live_capture
from ansible_collections.agnostic.recovery.plugins.module_utils.source.consistency import Applications

OLD_SECONDS = 3      # files older than this when a mark is set are known to be unchanged afterwards


class LastLook(Applications):
    """No application: notes what was committed just before the last freeze."""

    def __init__(self, load):
        self.load = load
        self.committed = {}

    def before_freeze(self):
        self.committed = self.load.committed()


@contextlib.contextmanager
def passes_forced(number, monkeypatch):
    """That many passes more while everything runs, however short the last one could be."""
    left = [number]

    def rate(_capture):
        left[0] -= 1
        return 1 if left[0] >= 0 else 1e12

    with monkeypatch.context() as patch:
        patch.setattr(live_capture, "_SHRINKS", 1e9)
        patch.setattr(live_capture.LiveCapture, "_rate", rate)
        yield


def compare(disk, path, reference, committed, work):
    """Each file system of the restored disk is sound, and all its files are those of the frozen disk."""
    for number, part in enumerate(disk.parts):
        ours, theirs = (extracted(source, part, os.path.join(work, f"part{number}.{name}"))
                        for source, name in ((path, "a"), (reference, "b")))
        check(ours, part.kind, os.path.join(work, "check"))
        # One after the other: both are the same btrfs.
        with mounted(theirs, part.kind, os.path.join(work, "b")) as folder:
            expected = tree_of(folder)
        with mounted(ours, part.kind, os.path.join(work, "a")) as folder:
            assert tree_of(folder) == expected
            for (mount, name), count in committed.items():
                if mount == part.folder:
                    assert count > 0 and records(os.path.join(folder, name)) >= count
        os.unlink(ours)
        os.unlink(theirs)
