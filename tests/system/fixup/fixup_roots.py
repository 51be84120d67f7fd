# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roots with a real kernel package, for the tests in this folder and the programs that they start."""

import hashlib
import os
import shutil
import stat
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import situation
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, Disk, Partition
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import get_profile

CACHE = os.path.expanduser("~/.cache/agnostic.recovery/tests")
ROOT_UUID = "11111111-aaaa-4aaa-8aaa-111111111111"
SWAP_UUID = "22222222-aaaa-4aaa-8aaa-222222222222"

DISKS = (
    Disk("sda", 8 << 30, table="gpt", partitions=(
        Partition(1, 1 << 20, 1 << 20, "21686148-6449-6e6f-744e-656564454649", "aaaa-01"),
        Partition(2, 2 << 20, 4 << 30, "0fc63daf-8483-4772-8e79-3d69d8477de4", "aaaa-02", content=Content("ext4", ROOT_UUID)),
        Partition(3, 5 << 30, 1 << 30, "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "aaaa-03", content=Content("swap", SWAP_UUID)),
    )),
)

# What an initramfs for a SATA machine holds, and no more.
HELD = (
    "ahci",
    "libahci",
    "libata",
    "sd_mod",
    "scsi_mod",
    "scsi_common",
    "t10-pi",
    "crc64-rocksoft",
    "crc64",
    "crc-t10dif",
    "crct10dif_common",
    "ext4",
    "e1000",
)

PACKERS = {
    "plain": ["cat"],
    "gzip": ["gzip", "-c"],
    "xz": ["xz", "--check=crc32", "-1", "-c"],
    "lzma": ["xz", "--format=lzma", "-1", "-c"],
    "bzip2": ["bzip2", "-c"],
    "zstd": ["zstd", "-q", "-c"],
    "lz4": ["lz4", "-l", "-q", "-c"],
}


UNPACKERS = dict(
    PACKERS,
    gzip=["gzip", "-dc"],
    xz=["xz", "-dc"],
    lzma=["xz", "--format=lzma", "-dc"],
    bzip2=["bzip2", "-dc"],
    zstd=["zstd", "-q", "-dc"],
    lz4=["lz4", "-q", "-dc"],
)


def need(*programs):
    for program in programs:
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            pytest.skip(f"the program {program} is not installed")


def run(*command, **more):
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stdin=more.pop("stdin", subprocess.DEVNULL) if "input" not in more else None, **more
    ).stdout


def unpacked(path, offset, length, packing, target):
    """One segment of the file into a folder, by the programs alone."""
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read(length)
    os.makedirs(target, exist_ok=True)
    archive = run(*UNPACKERS[packing], input=data)
    # GNU cpio reads what the kernel reads; the trailer of a second archive in one stream ends it, so it gets one archive only.
    run("cpio", "-idu", "--quiet", "--no-absolute-filenames", cwd=target, input=archive)


def modprobe(target, version, *arguments):
    return (
        subprocess.run(["modprobe", "-d", target, "-S", version, *arguments], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True)
        .stdout.decode()
        .splitlines()
    )


class Root:
    def __init__(self, path, version):
        self.path, self.version = str(path), version
        self.initrd = f"/boot/initrd.img-{version}"

    @property
    def tree(self):
        return Tree(self.path)

    def place(self, path):
        return self.path + path

    def write(self, path, text):
        os.makedirs(os.path.dirname(self.place(path)), exist_ok=True)
        with open(self.place(path), "w", encoding="utf-8") as file:
            file.write(text)

    def inspect(self, target="kvm", **options):
        return situation.inspect(self.tree, DISKS, get_profile(target), situation.Options(**options))


def fill(path, kernel, initramfs):
    """A Debian-like root at `path`: this kernel, an initramfs of SATA drivers, and the usual configuration."""
    folder, version = kernel
    root = Root(path, version)
    os.makedirs(root.place("/usr/lib/systemd"), exist_ok=True)
    os.symlink("usr/lib", root.place("/lib"))
    if os.stat(folder).st_dev == os.stat(root.path).st_dev:
        run("cp", "-al", f"{folder}/lib/modules", root.place("/usr/lib/"))
    else:
        # A file system of its own: 300 MB of modules that no fix-up changes need not be copied.
        os.makedirs(root.place("/usr/lib/modules"))
        run("mount", "--bind", f"{folder}/lib/modules", root.place("/usr/lib/modules"))
    os.makedirs(root.place("/boot"), exist_ok=True)
    for name in ("vmlinuz", "config"):
        shutil.copy2(f"{folder}/boot/{name}-{version}", root.place("/boot/"))
    shutil.copy2(initramfs, root.place(root.initrd))
    root.write("/usr/lib/systemd/systemd-udevd", "elf")
    root.write("/usr/share/initramfs-tools/hook-functions", "")
    root.write("/etc/initramfs-tools/conf.d/resume", "RESUME=/dev/sda3\n")
    root.write("/etc/fstab", "# disks\n/dev/sda2 / ext4 errors=remount-ro 0 1\n/dev/sda3 none swap sw 0 0\n")
    root.write("/etc/default/grub", 'GRUB_CMDLINE_LINUX="resume=/dev/sda3"\n')
    root.write("/boot/grub/grub.cfg", (
        "menuentry 'Debian' {\n\tlinux /boot/vmlinuz-%s root=/dev/sda2 ro quiet\n\tinitrd /boot/initrd.img-%s\n}\n") % (version, version))
    root.write("/boot/grub/device.map", "(hd0) /dev/sda\n")
    root.write("/etc/network/interfaces", "auto lan0\niface lan0 inet static\n    address 192.0.2.10/24\n    gateway 192.0.2.1\n")
    root.write("/etc/udev/rules.d/70-persistent-net.rules", 'SUBSYSTEM=="net", ATTR{address}=="52:54:00:aa:00:01", NAME="lan0"\n')
    return root


def snapshot(path, skip="/usr/lib/modules"):
    """Type, mode, owner, times, extended attributes and content of everything but the kernel's modules."""
    found = {}
    for folder, folders, files in os.walk(path):
        folders[:] = [name for name in folders if os.path.join(folder, name) != path + skip]
        for name in [""] + files + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            place = os.path.join(folder, name).rstrip("/")
            info = os.lstat(place)
            content = ""
            if stat.S_ISREG(info.st_mode):
                with open(place, "rb") as file:
                    content = hashlib.sha256(file.read()).hexdigest()
            elif stat.S_ISLNK(info.st_mode):
                content = os.readlink(place)
            xattrs = tuple(
                (key, os.getxattr(place, key, follow_symlinks=False)) for key in sorted(os.listxattr(place, follow_symlinks=False))
            )
            found[place] = (info.st_mode, info.st_uid, info.st_gid, info.st_mtime_ns, info.st_nlink if content else 0, xattrs, content)
    return found
