# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Trees of /sys, /proc and /dev as kernels show them, laid out below a folder from a short description."""

import os

GIB = 1 << 30


class HostTree:
    """Builds below `root`. Device numbers are given out in order; they only have to be unequal."""

    def __init__(self, root):
        self.root = str(root)
        self._numbers = {}
        self._mounts = []
        self._swaps = []
        os.makedirs(os.path.join(self.root, "sys/block"))

    def disk(self, name, size=20 * GIB, parts=(), on=(), mapper="", uuid="", links=(), bus="", **attributes):
        """A device of /sys/block. parts: numbers of partitions; on: slaves; attributes: files, "device__model" is device/model."""
        base = "sys/block/" + name
        values = {"ro": "0", "removable": "0", "queue/logical_block_size": "512", "size": str(size // 512), "dev": self._number(name)}
        values.update((key.replace("__", "/"), value) for key, value in attributes.items())
        if mapper:
            values.update({"dm/name": mapper, "dm/uuid": uuid})
        for path, value in values.items():
            self.write(base + "/" + path, value + "\n")
        for lower in on:
            self.write("{0}/slaves/{1}/dev".format(base, lower), "")
        if bus:
            # As on Hyper-V: the disk's folder lies below that of its device on the VMBus.
            self.write("sys/devices/vmbus/scsi/device_id", "{" + bus + "}\n")
            os.makedirs(os.path.join(self.root, "sys/devices/vmbus/scsi/host0/target/0:0:0:0"))
            os.symlink("../../devices/vmbus/scsi/host0/target/0:0:0:0", os.path.join(self.root, base, "device"))
        for number in parts:
            part = name + ("p" if name[-1].isdigit() else "") + str(number)
            for path, value in {"partition": str(number), "dev": self._number(part), "size": "2048"}.items():
                self.write("{0}/{1}/{2}".format(base, part, path), value + "\n")
        for link in links:
            self.link(link, name)
        return self

    def link(self, link, name):
        path = os.path.join(self.root, "dev/disk", link)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink("../../" + name, path)
        return self

    def mount(self, name, point, kind="ext4", source=""):
        number = "0:42" if source else self._numbers[name]
        self._mounts.append("{0} 1 {1} / {2} rw,relatime shared:1 - {3} {4} rw\n".format(
            30 + len(self._mounts), number, point.replace(" ", "\\040"), kind, source or "/dev/" + name))
        self.write("proc/self/mountinfo", "".join(self._mounts))
        return self

    def swap(self, path, kind="partition"):
        self._swaps.append("{0} {1} 1 0 -2\n".format(path, kind))
        self.write("proc/swaps", "Filename Type Size Used Priority\n" + "".join(self._swaps))
        return self

    def btrfs(self, uuid, *names):
        for name in names:
            self.write("sys/fs/btrfs/{0}/devices/{1}/dev".format(uuid, name), "")
        return self

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="latin-1") as file:
            file.write(text)

    def _number(self, name):
        return self._numbers.setdefault(name, "8:{0}".format(len(self._numbers)))
