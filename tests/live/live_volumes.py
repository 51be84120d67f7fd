# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""fsck of what lies on restored disks, by the file systems' own tools, read-only."""

import contextlib
import os
import subprocess

from ansible_collections.agnostic.recovery.plugins.module_utils.machine.content import probe_content
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.disk import read_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.lvm import extents, read_volume_groups

FSCK = {"ext4": ["e2fsck", "-f", "-n"], "xfs": ["xfs_repair", "-n"]}


def check_file_systems(paths, kinds):
    """Check the file systems of these kinds; returns their kinds. Plain logical volumes must be one stretch, as those of the live machines are.

    A frozen ext4 is as clean as an unmounted one. A frozen xfs still has its log, which xfs_repair wants replayed: check it after a boot.
    """
    with contextlib.ExitStack() as stack:
        disks = []
        for path in paths:
            file = stack.enter_context(open(path, "rb"))
            read_at = reader(file)
            disks.append((read_at, read_disk(path, read_at, os.path.getsize(path))))
        volumes = [(disk.name, part.start, part.size, part.content.kind) for _read, disk in disks for part in disk.partitions]
        readers = {disk.name: read_at for read_at, disk in disks}
        groups = read_volume_groups(disks)
        assert not [group.problem for group in groups if group.problem]
        for group in groups:
            assert not [volume.name for volume in group.logical_volumes if volume.name.startswith("dr-snap")], "the image holds a reserve"
            for volume in (each for each in group.logical_volumes if not each.obstacle):
                extent, = extents(group, volume)
                content = probe_content(lambda offset, length, at=extent: readers[at.disk](at.start + offset, length), volume.size)
                volumes.append((extent.disk, extent.start, volume.size, content.kind))
    return [fsck(*volume) for volume in volumes if volume[3] in kinds]


def reader(file):
    return lambda offset, length: os.pread(file.fileno(), length, offset)


def fsck(path, start, size, kind):
    command = ["losetup", "--find", "--show", "--read-only", "--offset", str(start), "--sizelimit", str(size), path]
    device = subprocess.run(command, stdout=subprocess.PIPE, universal_newlines=True, check=True).stdout.strip()
    try:
        done = subprocess.run(FSCK[kind] + [device], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    assert done.returncode == 0, done.stdout
    return kind
