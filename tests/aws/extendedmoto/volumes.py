# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Emulation of EBS volumes with content. A volume is a sparse file; one that is attached by AttachVolume becomes a block device of this host,
under the name that udev gives it on a Nitro instance; CreateSnapshot takes the blocks from the file. So this host is the worker, whatever
instance the volume is attached to. Needs root.
"""

import contextlib
import os
import subprocess

from moto.ebs.models import ebs_backends
from moto.ec2.models import elastic_block_store as store
from moto.ec2.responses.elastic_block_store import ElasticBlockStore

BY_ID = "/dev/disk/by-id"
GIB = 1 << 30


class Devices:
    """Loop devices of the attached volumes."""

    def __init__(self, folder):
        self._folder = folder
        self._attached = {}

    def path(self, volume):
        return os.path.join(self._folder, volume + ".raw")

    def link(self, volume):
        """As systemd's 60-persistent-storage.rules name it."""
        return os.path.join(BY_ID, "nvme-Amazon_Elastic_Block_Store_" + volume.replace("-", ""))

    def attach(self, volume, size):
        with open(self.path(volume), "ab") as file:
            file.truncate(size * GIB)
        loop = subprocess.run(["losetup", "--find", "--show", self.path(volume)], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
        self._attached[volume] = loop
        os.makedirs(BY_ID, exist_ok=True)
        os.symlink(loop, self.link(volume))

    def detach(self, volume):
        if volume in self._attached:
            os.unlink(self.link(volume))
            subprocess.run(["losetup", "--detach", self._attached.pop(volume)], check=True)

    def flush(self, volume):
        if volume in self._attached:
            subprocess.run(["blockdev", "--flushbufs", self._attached[volume]], check=True)

    def detach_all(self):
        for volume in list(self._attached):
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                self.detach(volume)


def apply(folder, new_snapshot):
    """`new_snapshot`: of snapshots.py. Returns the Devices, to be detached at the end."""
    devices = Devices(folder)
    plain_attach, plain_detach = ElasticBlockStore.attach_volume, store.EBSBackend.detach_volume
    plain_delete, plain_create = store.EBSBackend.delete_volume, ElasticBlockStore.create_snapshot

    def attach_volume(self):
        answer = plain_attach(self)
        devices.attach(self._get_param("VolumeId"), self.ec2_backend.volumes[self._get_param("VolumeId")].size)
        return answer

    def detach_volume(self, volume_id, instance_id, device_path):
        devices.detach(volume_id)
        instance_id = instance_id or self.get_volume(volume_id).attachment.instance.id       # AWS does not need it
        return plain_detach(self, volume_id, instance_id, device_path)

    def delete_volume(self, volume_id):
        deleted = plain_delete(self, volume_id)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(devices.path(volume_id))
        return deleted

    def create_snapshot(self):
        answer = plain_create(self)
        volume, snapshot = self._get_param("VolumeId"), answer.result
        kept = new_snapshot(ebs_backends[self.current_account][self.region], None, ec2_snapshot=snapshot)
        devices.flush(volume)
        with contextlib.suppress(FileNotFoundError), open(devices.path(volume), "rb") as file:
            kept.blocks.put_all(file)
        kept.status = "completed"
        return answer

    ElasticBlockStore.attach_volume, store.EBSBackend.detach_volume = attach_volume, detach_volume
    store.EBSBackend.delete_volume, ElasticBlockStore.create_snapshot = delete_volume, create_snapshot
    return devices
