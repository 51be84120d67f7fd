# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which block device of a server is which Cinder volume.

Nova gives a disk the volume's id as its serial number (nova/virt/libvirt/volume/volume.py, get_config). Device names that the API tells are
a guess of Nova and often wrong. virtio-blk has room for 20 bytes of a serial number (VIRTIO 1.2, 5.2.6, VIRTIO_BLK_T_GET_ID).
"""

import time

from typing import Iterable, List, NamedTuple

from ..errors import TargetError
from ..source.hostdisks import read_host

_VIRTIO_BLK_SERIAL = 20


class VolumeDisk(NamedTuple):
    volume: str                 # id
    path: str
    size: int                   # bytes


def find_disks(volumes: Iterable[str], root: str = "/") -> List[VolumeDisk]:
    """The disks of those volumes that are there, in the order of `volumes`. Raises TargetError, SourceError."""
    devices = [device for device in read_host(root).devices.values() if device.serial and device.size and not device.below]
    disks = []
    for volume in volumes:
        serials = (volume, volume[:_VIRTIO_BLK_SERIAL])
        found = [device for device in devices if device.serial in serials]
        if len(found) > 1:
            raise TargetError(f"Volume {volume} is attached more than once: {', '.join(sorted(device.path for device in found))}.")
        disks += [VolumeDisk(volume, device.path, device.size) for device in found]
    return disks


def wait_for_disks(volumes: Iterable[str], timeout: float, root: str = "/") -> List[VolumeDisk]:
    """The same, once all are there; a server sees a disk some seconds after it was attached. Raises TargetError after `timeout` seconds."""
    volumes = list(volumes)
    deadline = time.monotonic() + timeout
    while True:
        disks = find_disks(volumes, root)
        missing = sorted(set(volumes) - {disk.volume for disk in disks})
        if not missing:
            return disks
        if time.monotonic() >= deadline:
            raise TargetError(f"No disk of this host has the serial number of volume {', '.join(missing)}. Is it attached to this server?")
        time.sleep(0.5)
