# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small machine made of files: enough of a Debian-like root for every fix-up."""

import contextlib
import gzip
import os
import stat

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import situation, writer
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.cpio import pack_archive
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, Disk, Partition
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import get_profile

VERSION = "6.1.0-9-amd64"
ROOT_UUID = "11111111-aaaa-4aaa-8aaa-111111111111"
SWAP_UUID = "22222222-aaaa-4aaa-8aaa-222222222222"
LATER = ("virtio-scsi", "virtio-blk", "nvme")

# name -> (folder below kernel/, what it needs)
MODULES = {
    "virtio": ("drivers/virtio", []),
    "virtio_ring": ("drivers/virtio", ["virtio"]),
    "virtio_pci": ("drivers/virtio", ["virtio_ring", "virtio"]),
    "virtio_scsi": ("drivers/scsi", ["scsi_mod", "virtio_ring", "virtio"]),
    "virtio_blk": ("drivers/block", ["virtio_ring", "virtio"]),
    "scsi_mod": ("drivers/scsi", []),
    "sd_mod": ("drivers/scsi", ["scsi_mod"]),
    "libahci": ("drivers/ata", []),
    "ahci": ("drivers/ata", ["libahci", "scsi_mod"]),
    "nvme-core": ("drivers/nvme/host", []),
    "nvme": ("drivers/nvme/host", ["nvme-core"]),
    "e1000": ("drivers/net", []),
    "virtio_net": ("drivers/net", ["virtio_ring", "virtio"]),
}
IN_INITRAMFS = ("scsi_mod", "sd_mod", "libahci", "ahci")


class Machine:
    """A root below a temporary folder. `write` and `read` take paths of the machine."""

    def __init__(self, path):
        self.path = str(path)
        self.modules = MODULES
        self.suffix = ".ko"
        self.packer = bytes                  # what the files of modules are packed with

    @property
    def tree(self):
        return Tree(self.path)

    def write(self, path, content, mode=0o644):
        place = self.path + path
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(place, mode)

    def read(self, path):
        with open(self.path + path, "rb") as file:
            return file.read().decode("utf-8", "surrogateescape")

    def exists(self, path):
        return os.path.lexists(self.path + path)

    def module_path(self, name):
        return f"kernel/{self.modules[name][0]}/{name}{self.suffix}"

    def add_kernel(self, version=VERSION, without=(), builtin=(), initramfs=None):
        base = f"/usr/lib/modules/{version}"
        have = [name for name in self.modules if name not in without and name not in builtin]
        for name in have:
            self.write(f"{base}/{self.module_path(name)}", self.packer(f"module {name} of {version}".encode()))
        lines = [
            f"{self.module_path(name)}: {' '.join(self.module_path(other) for other in self.modules[name][1] if other in have)}".strip()
            for name in have
        ]
        self.write(f"{base}/modules.dep", "".join(line + "\n" for line in lines))
        self.write(f"{base}/modules.dep.bin", b"\xb0\x07\xf4\x57 not parsed")
        self.write(f"{base}/modules.alias", "alias pci:v00001AF4d* virtio_pci\n")
        self.write(f"{base}/modules.builtin", "".join(f"kernel/x/{name}.ko\n" for name in builtin))
        self.write(f"/boot/vmlinuz-{version}", b"kernel")
        self.write(f"/boot/initrd.img-{version}", gzip.compress(self.initramfs(version)) if initramfs is None else initramfs)

    def initramfs(self, version=VERSION, held=IN_INITRAMFS, more=(), udev=True):
        """An archive with lib -> usr/lib, some modules and their index."""
        entries = {
            "usr": None,
            "usr/lib": None,
            "conf": None,
            "conf/conf.d": None,
            "scripts": None,
            "scripts/functions": b"#",
            "usr/lib/modules": None,
        }
        home = f"usr/lib/modules/{version}"
        entries.update({home: None, "usr/lib/systemd": None})
        if udev:
            entries["usr/lib/systemd/systemd-udevd"] = b"elf"
        for name in held:
            path = f"{home}/{self.module_path(name)}"
            parts = path.split("/")
            for count in range(1, len(parts)):
                entries.setdefault("/".join(parts[:count]), None)
            entries[path] = b"module"
        entries[f"{home}/modules.dep"] = "".join(f"{self.module_path(name)}:\n" for name in held).encode()
        entries.update(dict(more))
        listed = [(path, (stat.S_IFDIR if data is None else stat.S_IFREG) | 0o755, data or b"") for path, data in entries.items()]
        return pack_archive(listed[:2] + [("lib", stat.S_IFLNK | 0o777, b"usr/lib")] + listed[2:])

    def inspect(self, target="kvm", disks=None, **options):
        return situation.inspect(self.tree, DISKS if disks is None else disks, get_profile(target), situation.Options(**options))

    def snapshot(self):
        """Everything that undo must bring back: contents, modes, times, links; folders with their times."""
        found = {}
        for folder, folders, files in os.walk(self.path):
            for name in [""] + files + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
                place = os.path.join(folder, name).rstrip("/")
                info = os.lstat(place)
                if stat.S_ISLNK(info.st_mode):
                    content = os.readlink(place)
                elif stat.S_ISREG(info.st_mode):
                    with open(place, "rb") as file:
                        content = file.read()
                else:
                    content = None
                found[place] = (
                    info.st_mode,
                    info.st_uid,
                    info.st_gid,
                    info.st_mtime_ns,
                    content,
                    info.st_nlink if content is not None else 0,
                )
        return found


DISKS = (
    Disk("sda", 8 << 30, table="gpt", partitions=(
        Partition(1, 1 << 20, 1 << 20, "21686148-6449-6e6f-744e-656564454649", "aaaa-01"),
        Partition(2, 2 << 20, 4 << 30, "0fc63daf-8483-4772-8e79-3d69d8477de4", "aaaa-02", content=Content("ext4", ROOT_UUID, "system")),
        Partition(3, 5 << 30, 1 << 30, "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "aaaa-03", content=Content("swap", SWAP_UUID)),
    )),
)


@pytest.fixture
def machine(tmp_path):
    found = Machine(tmp_path / "root")
    os.makedirs(found.path)
    os.makedirs(found.path + "/usr/lib/systemd")
    os.symlink("usr/lib", found.path + "/lib")
    found.add_kernel()
    found.write("/usr/lib/systemd/systemd-udevd", b"elf")
    found.write("/etc/os-release", "ID=debian\nVERSION_ID=12\nPRETTY_NAME='Debian GNU/Linux 12'\n")
    found.write("/usr/share/initramfs-tools/hook-functions", "")
    found.write("/etc/fstab", "# disks\n/dev/sda2\t/  ext4\terrors=remount-ro 0 1\n/dev/sda3 none swap sw 0 0\n")
    found.write("/etc/default/grub", 'GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="resume=/dev/sda3"\n', 0o600)
    found.write(
        "/boot/grub/grub.cfg",
        (
            "terminal_output gfxterm\nmenuentry 'Debian' {\n\tsearch --fs-uuid --set=root %s\n"
            "\tlinux\t/boot/vmlinuz-%s root=/dev/sda2 ro  quiet\n"
            "\tinitrd\t/boot/initrd.img-%s\n}\n"
        )
        % (ROOT_UUID, VERSION, VERSION),
    )
    found.write("/boot/grub/i386-pc/serial.mod", b"x")
    found.write(
        "/etc/network/interfaces",
        "auto lo\niface lo inet loopback\n\nauto lan0\niface lan0 inet static\n    address 192.0.2.10/24\n    gateway 192.0.2.1\n",
    )
    return found


@pytest.fixture
def blank(machine):
    """The machine without a network configuration."""
    machine.write("/etc/network/interfaces", "")
    return machine


class Killed(BaseException):
    """Stands for a kill: nothing but the test catches it."""


@pytest.fixture
def killed_at(monkeypatch):
    """A context in which the process "dies" before the given step and cleans up nothing; a step is a call of one of the functions of os
    that the writer uses, by name. The context gives a list, which holds the kill if there was one.
    """
    @contextlib.contextmanager
    def killed_at(step, *names):
        done, kills, unlink = [0], [], writer._unlink

        def counted(function):
            def call(*arguments, **more):
                done[0] += 1
                if done[0] == step:
                    raise Killed()
                return function(*arguments, **more)
            return call

        with monkeypatch.context() as patched:
            for name in names:
                patched.setattr(writer.os, name, counted(getattr(os, name)))
            # After a kill nothing runs that would clean up.
            patched.setattr(writer, "_unlink", lambda folder, name: None if done[0] >= step else unlink(folder, name))
            try:
                yield kills
            except Killed as kill:
                kills.append(kill)

    return killed_at
