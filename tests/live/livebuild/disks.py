# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The disks of a live machine: partitions, LVM, file systems, the root copied onto them, GRUB.

LVM needs no device mapper for its metadata: volumes are made inactive, and since a new volume is one linear stretch, its content is
reached at its place on the disk through a loop device.
"""

import contextlib
import json
import os

from demobuild import grub
from demobuild.disk import MIB, TYPES
from demobuild.run import BuildError, chroot, run

from .root import write

LVM_TYPE = "E6D6D379-F507-44C2-A23C-238F2A3DF928"     # Discoverable Partitions Specification; GPT type of Linux LVM
MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-K"],
    "swap": ["mkswap", "-q"],
}


def create(machine, folder, root, place, texts):
    """The machine's disks, sparse files in `folder`."""
    with contextlib.ExitStack() as stack:
        mounts = []
        for disk in machine["disks"]:
            path = os.path.join(folder, disk["file"])
            _partition(path, disk)
            for content, start, size, mount in _volumes(path, disk):
                device = stack.enter_context(loop(path, start, size))
                if content in MAKE:
                    run(MAKE[content] + [device])
                if mount:
                    mounts.append((mount, content, device))
        for mount, content, device in sorted(mounts):
            point = os.path.normpath(place + mount)
            os.makedirs(point, exist_ok=True)
            run(["mount", "-t", content, device, point])
            stack.callback(run, ["umount", point])
        run(["cp", "-a", root + "/.", place])
        for name, text in texts.items():
            write(place, name, text)
        _grub(machine["disks"][0], os.path.join(folder, machine["disks"][0]["file"]), place)


def _partition(path, disk):
    with open(path, "wb") as file:
        file.truncate(disk["size_mib"] * MIB)
    table = ["label: gpt", "unit: sectors"]
    for part in disk["parts"]:
        kind = LVM_TYPE if part["content"] == "lvm" else TYPES[part["content"]]
        table.append("%d: start=%d, size=%d, type=%s" % (part["number"], part["start_mib"] * 2048, part["size_mib"] * 2048, kind))
    run(["sfdisk", "--quiet", path], "\n".join(table) + "\n")


def _volumes(path, disk):
    """(content, start, size in bytes, mount point or "") of what lies on the disk; makes its volume group."""
    for part in disk["parts"]:
        start = part["start_mib"] * MIB
        if part["content"] == "lvm":
            places = volume_group(path, start, part["size_mib"] * MIB, disk)
            for volume in disk["volumes"]:
                yield volume["content"], start + places[volume["name"]], volume["size_mib"] * MIB, volume.get("mount", "")
        elif part["content"] != "grub":
            yield part["content"], start, part["size_mib"] * MIB, part.get("mount", "")


def volume_group(path, start, size, disk):
    """Makes the volume group on the partition; where its volumes begin, in bytes from the start of the partition."""
    with loop(path, start, size) as device:
        # Nothing but this device is looked at, and nothing of this host's LVM is touched.
        here = ["--driverloaded", "n", "--config",
                'devices { use_devicesfile=0 filter=["a|^%s$|","r|.*|"] } backup { backup=0 archive=0 }' % device]
        run(["pvcreate", "--quiet", "--yes"] + here + [device])
        run(["vgcreate", "--quiet"] + here + [disk["group"], device])
        for volume in disk["volumes"]:
            run(["lvcreate", "--quiet", "--yes", "--activate", "n", "--zero", "n", "--wipesignatures", "n"] + here
                + ["--name", volume["name"], "--size", "%dm" % volume["size_mib"], disk["group"]])
        report = run(["pvs", "--segments", "--reportformat", "json", "--units", "b", "--nosuffix"] + here
                     + ["--options", "lv_name,pvseg_start,pe_start,vg_extent_size", device])
    segments = [segment for segment in json.loads(report)["report"][0]["pvseg"] if segment["lv_name"]]
    if len(segments) != len(disk["volumes"]):
        raise BuildError("the volumes are not one stretch each: %s" % segments)
    return {segment["lv_name"]: int(segment["pe_start"]) + int(segment["pvseg_start"]) * int(segment["vg_extent_size"])
            for segment in segments}


@contextlib.contextmanager
def loop(path, start, size):
    device = run(["losetup", "--find", "--show", "--offset", str(start), "--sizelimit", str(size), path]).strip()
    try:
        yield device
    finally:
        run(["losetup", "--detach", device])


def _grub(disk, path, root):
    """GRUB that finds its folder on the volume or partition of the root."""
    root_volume = next((volume for volume in disk.get("volumes", ()) if volume.get("mount") == "/"), None)
    if root_volume:
        prefix, modules = "(lvm/%s-%s)" % (disk["group"], root_volume["name"]), ["lvm"]
    else:
        number = next(part["number"] for part in disk["parts"] if part.get("mount") == "/")
        prefix, modules = "(hd0,gpt%d)" % number, []
    chroot(root, ["grub-mkimage", "--format=i386-pc", "--prefix=%s/boot/grub" % prefix, "--output=/boot/grub/i386-pc/core.img",
                  "biosdisk", "part_gpt", "ext2"] + modules)
    images = {}
    for name in ("boot.img", "core.img"):
        with open(os.path.join(root, "boot/grub/i386-pc", name), "rb") as file:
            images[name] = file.read()
    part = next(part for part in disk["parts"] if part["content"] == "grub")
    grub.embed(path, images["boot.img"], images["core.img"], part["start_mib"] * 2048, part["size_mib"] * 2048)
