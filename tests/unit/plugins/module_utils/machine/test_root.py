# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole roots: the machine that they describe, and what an operator is warned of."""

import os
import struct

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.machine import model
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.data import from_data, to_data
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.firmware import read_firmware
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.root import read_architecture, read_machine
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree

VERSION = "6.1.0-18-amd64"
UUID = "0a1b2c3d-0000-1111-2222-333344445555"


def cpio(names):
    """An initramfs: a plain newc archive with empty files and the folders above them."""
    folders = sorted({name.rsplit("/", count)[0] for name in names for count in range(1, name.count("/") + 1)}, key=len)
    out = b""
    entries = [(folder, 0o40755) for folder in folders] + [(name, 0o100644) for name in names] + [("TRAILER!!!", 0)]
    for number, (name, mode) in enumerate(entries):
        raw = name.encode() + b"\0"
        fields = [number + 1, mode, 0, 0, 2 if mode & 0o40000 else 1, 0, 0, 0, 0, 0, 0, len(raw), 0]
        out += b"070701" + "".join("%08X" % field for field in fields).encode() + raw
        out += bytes(-len(out) % 4)
    return out


def elf(machine, order=1):
    return b"\x7fELF" + bytes([2, order, 1]) + bytes(9) + struct.pack("<HH" if order == 1 else ">HH", 3, machine)


def debian():
    """A Debian as small as can be: a kernel with its modules, GRUB, an address."""
    modules = f"usr/lib/modules/{VERSION}"
    return {
        "etc/os-release": b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n',
        "etc/hostname": b"shop\n",
        "etc/fstab": b"/dev/sda1 / ext4 errors=remount-ro 0 1\n/dev/sda2 none swap sw 0 0\n",
        "etc/network/interfaces": b"auto lan0\niface lan0 inet static\n address 192.0.2.10/24\n",
        "usr/bin/dash": elf(62),
        "boot/grub/grub.cfg": (f"menuentry 'Debian' {{\n linux /boot/vmlinuz-{VERSION} root=/dev/sda1 ro\n"
                               f" initrd /boot/initrd.img-{VERSION}\n}}\n").encode(),
        "boot/grub/i386-pc/normal.mod": b"",
        f"boot/vmlinuz-{VERSION}": b"MZ",
        f"boot/initrd.img-{VERSION}": cpio([f"usr/lib/modules/{VERSION}/kernel/drivers/ata/ahci.ko"]),
        f"{modules}/modules.dep": b"kernel/drivers/ata/ahci.ko:\nkernel/drivers/block/virtio_blk.ko: kernel/x.ko\n"
                                  b"kernel/drivers/net/virtio_net.ko.xz:\nkernel/x.ko:\n",
        f"{modules}/modules.builtin": b"kernel/drivers/nvme/host/nvme.ko\nkernel/lib/other.ko\n",
    }


DISK = model.Disk("sda", 1 << 30, 512, "mbr", "d1c2a3b4", (
    model.Partition(1, 1 << 20, 1 << 29, "0x83", "d1c2a3b4-01", bootable=True, content=model.Content("ext4", UUID)),
    model.Partition(2, 1 << 29, 1 << 28, "0x82", "d1c2a3b4-02", content=model.Content("swap", "s")),
), boot_code=True)


@pytest.fixture
def make(tmp_path):
    def make(files):
        for path, data in files.items():
            place = tmp_path / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        for name in ("bin", "lib"):
            if (tmp_path / "usr" / name).exists() and not (tmp_path / name).is_symlink():
                os.symlink("usr/" + name, str(tmp_path / name))
        if (tmp_path / "usr/bin/dash").exists() and not (tmp_path / "usr/bin/sh").is_symlink():
            os.symlink("dash", str(tmp_path / "usr/bin/sh"))
        return Tree(str(tmp_path))
    return make


def test_a_whole_machine(make):
    machine = read_machine(make(debian()), "shop", (DISK,))
    assert machine == model.Machine(
        name="shop",
        hostname="shop",
        architecture="x86_64",
        firmware="bios",
        os=model.OsRelease("debian", "12", "Debian GNU/Linux 12"),
        boot_loader="grub2",
        disks=(DISK,),
        mounts=(model.Mount("/dev/sda1", "/", "ext4", "errors=remount-ro", 0, 1), model.Mount("/dev/sda2", "none", "swap", "sw")),
        kernels=(model.Kernel(
            VERSION, f"/boot/vmlinuz-{VERSION}", f"/boot/initrd.img-{VERSION}",
            builtin=("nvme",), modules=("ahci", "virtio_blk", "virtio_net"), initramfs_drivers=("ahci",)),),
        nics=(model.Nic("lan0", "", "static", (model.Address("192.0.2.10/24"),), source="/etc/network/interfaces"),),
        warnings=(),
    )
    assert from_data(model.Machine, to_data(machine)) == machine


def test_an_empty_root_is_a_machine_with_warnings(make):
    machine = read_machine(make({}), "x")
    assert machine[:1] == ("x",) and machine.kernels == ()
    text = " ".join(machine.warnings)
    for part in ("No kernel", "operating system", "CPU architecture", "boot loader", "/etc/fstab"):
        assert part in text


def warned(make, change, disks=(DISK,)):
    files = debian()
    files.update(change)
    return read_machine(make(files), "shop", disks)


def test_kernels_that_no_entry_names_are_found_too(make):
    machine = warned(make, {"boot/vmlinuz-5.10": b"", "boot/initrd.img-5.10": cpio(["x/a"]), "boot/vmlinuz-5.10.old": b""})
    assert [(kernel.version, kernel.initramfs) for kernel in machine.kernels] == [
        (VERSION, f"/boot/initrd.img-{VERSION}"), ("5.10", "/boot/initrd.img-5.10")]
    assert machine.warnings == ("There are no modules for kernel 5.10 in /lib/modules.",)


def test_a_damaged_initramfs_is_a_warning(make):
    machine = warned(make, {f"boot/initrd.img-{VERSION}": b"\x1f\x8b\x08 no archive"})
    assert machine.kernels[0].initramfs_drivers == () and machine.kernels[0].modules
    assert len(machine.warnings) == 1 and "cannot be checked" in machine.warnings[0]


def test_missing_files_of_an_entry_are_warnings(make):
    text = (f"menuentry 'Debian' {{\n linux /boot/vmlinuz-{VERSION}\n initrd /boot/initrd.img-lost\n}}\n"
            "menuentry 'Old' {\n linux /boot/vmlinuz-lost\n}\n")
    machine = warned(make, {"boot/grub/grub.cfg": text.encode()})
    assert [kernel.initramfs for kernel in machine.kernels] == [""]
    assert len(machine.warnings) == 3 and "vmlinuz-lost, which does not exist" in machine.warnings[1]


def test_a_rescue_entry_is_a_kernel_of_its_own(make):
    image = bytearray(4096)
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x20E, 0x400)
    text = f"{VERSION} (builder@example) #1 SMP".encode()
    image[0x600:0x600 + len(text)] = text
    grub = debian()["boot/grub/grub.cfg"] + (
        b"menuentry 'Rescue' {\n linux /boot/vmlinuz-0-rescue-abc\n initrd /boot/intel-ucode.img /boot/initramfs-0-rescue-abc.img\n}\n")
    machine = warned(make, {"boot/vmlinuz-0-rescue-abc": bytes(image), "boot/initramfs-0-rescue-abc.img": cpio(["a/b"]),
                            "boot/grub/grub.cfg": grub, "boot/intel-ucode.img": cpio(["a/b"])})
    assert [(kernel.version, kernel.image, kernel.initramfs) for kernel in machine.kernels][1:] == [
        (VERSION, "/boot/vmlinuz-0-rescue-abc", "/boot/initramfs-0-rescue-abc.img")]
    assert machine.warnings == ()


def test_findings_on_disks(make):
    content = model.Content
    disk = model.Disk("sdb", 1 << 30, table="gpt", notes=("The primary GPT is damaged.",), partitions=tuple(
        model.Partition(number, 0, 1, "t", content=value) for number, value in enumerate((
            content("lvm2"), content("swap", note="It holds a hibernated system."), content("ext4")), 1)))
    machine = warned(make, {}, (DISK, disk))
    assert machine.warnings == (
        "Disk sdb: The primary GPT is damaged.",
        "Partition 1 of disk sdb is an LVM physical volume; what is inside is captured, but not looked into.",
        "Partition 2 of disk sdb: It holds a hibernated system.",
    )


def test_mounts_from_nowhere(make):
    fstab = (f"UUID={UUID.upper()} / ext4 defaults 0 1\nPARTUUID=d1c2a3b4-02 none swap sw\nUUID=abc /data ext4 defaults 0 0\n"
             "LABEL=lost /lost ext4\n")
    machine = warned(make, {"etc/fstab": fstab.encode()})
    assert machine.warnings == (
        "/etc/fstab names UUID=abc for /data, which is on none of the machine's disks.",
        "/etc/fstab names LABEL=lost for /lost, which is on none of the machine's disks.",
    )


def test_warnings_are_bounded(make):
    fstab = "".join(f"UUID={number} /{number} ext4\n" for number in range(1000))
    machine = warned(make, {"etc/fstab": fstab.encode()})
    assert len(machine.warnings) == 201 and machine.warnings[-1] == "There are 800 more warnings."


def test_a_hostile_root_only_gives_warnings(make, tmp_path):
    secret = tmp_path.parent / "secret-of-the-worker"
    secret.write_bytes(b"HOSTNAME-OF-THE-WORKER\n")
    tree = make({"boot/vmlinuz-\udce4".encode("utf-8", "surrogateescape").decode("utf-8", "replace"): b""})
    (tmp_path / "etc").mkdir()
    os.symlink(str(secret), str(tmp_path / "etc" / "hostname"))
    os.symlink("../../../../../.." + str(secret), str(tmp_path / "etc" / "fstab"))
    os.mkfifo(str(tmp_path / "etc" / "os-release"))
    os.symlink("network", str(tmp_path / "etc" / "network"))
    os.symlink("/boot/grub", str(tmp_path / "boot" / "grub"))
    machine = read_machine(tree, "x", (DISK,))
    assert machine.hostname == "" and machine.mounts == ()
    assert "WORKER" not in repr(machine)


# firmware and architecture

ESP = model.Partition(1, 0, 1, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", content=model.Content("vfat"))


@pytest.mark.parametrize("boot_code,has_esp,files,expected", [
    (True, False, [], "bios"),
    (False, False, ["boot/grub/i386-pc/a.mod"], ""),
    (False, True, [], "uefi"),                                                           # the ESP is not mounted
    (False, True, ["boot/efi/EFI/debian/grubx64.efi"], "uefi"),
    (True, True, ["boot/efi/EFI/debian/shimx64.efi"], "uefi"),                           # code left by a partitioning tool
    (True, True, ["boot/efi/EFI/BOOT/BOOTX64.EFI", "boot/grub/i386-pc/a.mod"], "both"),
    (True, True, ["boot/efi/EFI/readme"], "bios"),                                       # an ESP without a loader
    (False, True, ["boot/efi/EFI/readme"], ""),
])
def test_firmware(make, boot_code, has_esp, files, expected):
    disk = model.Disk("sda", 1, boot_code=boot_code, table="gpt", partitions=(ESP,) if has_esp else ())
    assert read_firmware(make({path: b"" for path in files}), (disk,)) == expected


def test_firmware_by_files_alone(make):
    assert read_firmware(make({})) == ""
    assert read_firmware(make({"boot/grub/i386-pc/a.mod": b""})) == "bios"
    assert read_firmware(make({"efi/EFI/BOOT/BOOTX64.EFI": b""})) == "both"


@pytest.mark.parametrize("machine,order,expected", [
    (62, 1, "x86_64"), (183, 1, "aarch64"), (21, 1, "ppc64le"), (21, 2, "ppc64"), (22, 2, "s390x"), (3, 1, "i686")])
def test_architecture(make, machine, order, expected):
    assert read_architecture(make({"usr/bin/dash": elf(machine, order)})) == expected
