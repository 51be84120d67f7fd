# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volume groups made by lvm2 itself on loop devices. It needs no device mapper for metadata: it is told not to activate anything.

File systems are laid on logical volumes by what `lvs` and `pvs` say of their extents, independently of the code under test.
"""

import contextlib
import os
import subprocess

from source_images import loop, make_image

MIB = 1 << 20
PARTITION = 3 * MIB         # the first physical volume lies in a partition that begins here
CONFIGURATION = """
devices {{ use_devicesfile=0 scan_lvs=0 filter=[{filter}, "r|.*|"] obtain_device_list_from_udev=0 external_device_info_source="none" }}
global {{ activation=0 locking_dir="{folder}" use_lvmpolld=0 }}
activation {{ udev_sync=0 udev_rules=0 monitoring=0 }}
backup {{ backup=0 archive=0 }}
"""


class Lvm:
    """lvm2 over these devices. `images`: the disk files under them."""

    def __init__(self, folder, images, devices):
        self.images = images
        self.devices = devices
        self._folder = folder
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "lvm.conf"), "w", encoding="ascii") as file:
            file.write(CONFIGURATION.format(folder=folder, filter=", ".join(f'"a|^{device}$|"' for device in devices)))

    def run(self, command, *words):
        done = subprocess.run(["lvm", command, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, universal_newlines=True, check=False,
                              env=dict(os.environ, LC_ALL="C", LVM_SYSTEM_DIR=self._folder, LVM_SUPPRESS_FD_WARNINGS="1"))
        assert not done.returncode, (command, words, done.stdout, done.stderr)
        return done.stdout

    def create(self, name, size, *words):
        """A logical volume of `size` MiB in the group data. words: devices to use, more options."""
        self.run("lvcreate", "-an", "-Zn", "-Wn", "-n", name, "-L", f"{size}m", "data", *words)

    def rows(self, command, fields, *words):
        """The report of these fields: lists of words, one a row."""
        text = self.run(command, "--noheadings", "--units", "b", "--nosuffix", "--separator", "|", "-o", fields, *words)
        return [line.strip().split("|") for line in text.splitlines() if line.strip()]

    def areas(self, group):
        """{LV name: [(device number, first byte of the disk file, bytes), ...]} for each segment, all kinds of volumes."""
        starts = {name: int(start) for name, start in self.rows("pvs", "pv_name,pe_start")}
        extent = int(self.rows("vgs", "vg_extent_size", group)[0][0])
        found = {}
        for name, ranges in self.rows("lvs", "lv_name,seg_pe_ranges", "-a", "--segments", group):
            for words in ranges.split():
                device, _colon, pair = words.partition(":")
                if device not in starts:
                    continue        # another volume
                first, _dash, last = pair.partition("-")
                number = self.devices.index(device)
                start = starts[device] + int(first) * extent + (0 if number else PARTITION)
                found.setdefault(name.strip("[]"), []).append((number, start, (int(last) - int(first) + 1) * extent))
        return found

    def pieces(self, group, name):
        """(device number, byte of its disk file, bytes) of each run of a linear or striped volume, in order."""
        areas = list(self.areas(group)[name])
        for count, stripe in self.rows("lvs", "stripes,stripesize", "--segments", f"{group}/{name}"):
            columns, areas = areas[:int(count)], areas[int(count):]
            size = int(stripe) or columns[0][2]
            for offset in range(0, columns[0][2], size):
                for number, start, _length in columns:
                    yield number, start + offset, size


@contextlib.contextmanager
def lvm_on(work, sizes):
    """An Lvm on new disks of these sizes in bytes. The first one has a partition that is the device, the others have none."""
    with contextlib.ExitStack() as stack:
        images = [make_image(os.path.join(work, f"disk{number}"), size) for number, size in enumerate(sizes)]
        subprocess.run(["sfdisk", "--quiet", images[0]], input=f"label: gpt\nstart={PARTITION // MIB}MiB, type=lvm\n".encode(), check=True)
        options = [("--offset", str(PARTITION), "--sizelimit", str(sizes[0] - PARTITION - MIB))] + [()] * (len(sizes) - 1)
        devices = [stack.enter_context(loop(image, *words)) for image, words in zip(images, options)]
        yield Lvm(os.path.join(work, "lvm"), images, devices)


def write_volume(pieces, images, content):
    """Lay the file `content` on the disks."""
    with open(content, "rb") as source:
        for number, start, length in pieces:
            with open(images[number], "r+b") as disk:
                disk.seek(start)
                disk.write(source.read(length))


def read_volume(pieces, images, path):
    with open(path, "wb") as target:
        for number, start, length in pieces:
            with open(images[number], "rb") as disk:
                disk.seek(start)
                target.write(disk.read(length))
    return path
