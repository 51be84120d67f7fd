# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the disk of a source machine: its root as a layer over the cached ones, its initramfs, partitions, file systems, boot loader."""

import contextlib
import os
import secrets
import shutil
import subprocess
import uuid

from typing import Dict, NamedTuple

from demobuild import grub
from demobuild.disk import MIB, TYPES
from demobuild.run import BuildError, chroot, run
from livebuild.disks import LVM_TYPE, loop, volume_group
from livebuild.root import write

from . import machine, roots
from .cases import Source

GPT_TYPES = dict(TYPES, btrfs=TYPES["ext4"], vfat="C12A7328-F81F-11D2-BA4B-00A0C93EC93B", lvm=LVM_TYPE)
DOS_TYPES = {"ext4": "83", "xfs": "83", "btrfs": "83", "extended": "5", "swap": "82"}
MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-K"],
    "btrfs": ["mkfs.btrfs", "-q", "-f", "-K"],
    "swap": ["mkswap"],
}
SYSLINUX = "/usr/lib/syslinux/mbr"
# Syslinux reads no ext4 with 64-bit block numbers; so ext4 as it was made before those.
SYSLINUX_EXT4 = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize"
# Modules that an initramfs needs for what lies under the root.
STACK_DRIVERS = {"lvm": ("dm_mod",)}
SHARED_DRIVERS = {"sd_mod", "xhci_pci"}


class Built(NamedTuple):
    disk: str                    # path of the raw file
    name: str                    # of the disk, as the machine calls it
    identity: machine.Identity
    kernel: str


def build(source: Source, place: str, folder: str, say) -> Built:
    """Makes `folder`/disk.raw. For processes with private mounts. Raises BuildError."""
    folders = roots.lowers(place, source, say)
    say("making the disk")
    identity = machine.Identity(machine.hostname_of(source), uuid.uuid4().hex, secrets.token_hex(8))
    path, root = os.path.join(folder, "disk.raw"), os.path.join(folder, "root")
    _partition(source, path)
    with contextlib.ExitStack() as stack:
        stack.enter_context(roots.merged(folders, os.path.join(folder, "upper"), os.path.join(folder, "overlay"), root))
        devices = {key: stack.enter_context(loop(path, start, size)) for key, _content, start, size in _places(source, path)}
        uuids = _make_file_systems(source, root, devices)
        kernel, = os.listdir(os.path.join(root, "lib/modules"))
        names = machine.names_of(source, uuids)
        _configure(source, root, names, identity, kernel)
        esp = os.path.join(folder, "esp")
        _loader_files(source, root, names, uuids, identity, kernel, esp)
        target = os.path.join(folder, "mount")
        with _mounted(source, devices, target):
            run(["cp", "-a", "--one-file-system", root + "/.", target])
            for point in ("proc", "dev", "sys", "run", "tmp"):
                os.makedirs(os.path.join(target, point), exist_ok=True)
            run(["cp", "-a", folders[-1] + "/dev/.", os.path.join(target, "dev")])
            if source.loader == "extlinux":
                run(["extlinux", "--install", os.path.join(target, "boot/extlinux")])
        if os.path.isdir(esp):
            _write_esp(devices["/boot/efi"], esp)
        _boot_code(source, path, root)
    for name in ("root", "upper", "overlay", "esp", "mount"):
        subprocess.run(["rm", "-rf", "--one-file-system", os.path.join(folder, name)], check=True)
    return Built(path, machine.BUSES[source.bus].disk, identity, kernel)


def _partition(source, path):
    with open(path, "wb") as file:
        file.truncate(machine.disk_mib(source) * MIB)
    kind = machine.table_kind(source)
    table = [f"label: {kind}", "unit: sectors"]
    for part in machine.parts_of(source):
        line = f"{part.number}: start={part.start_mib * 2048}, size={part.size_mib * 2048}, "
        line += f"type={(DOS_TYPES if kind == 'dos' else GPT_TYPES)[part.content]}"
        if kind == "dos" and part.mount == "/":
            line += ", bootable"
        elif source.loader == "extlinux" and part.mount == "/":
            line += ', attrs="LegacyBIOSBootable"'
        table.append(line)
    run(["sfdisk", "--quiet", path], "\n".join(table) + "\n")


def _places(source, path):
    """(mount point or content, content, start, size in bytes) of what gets a file system; makes the volume group."""
    for part in machine.parts_of(source):
        start, size = part.start_mib * MIB, part.size_mib * MIB
        if part.content == "lvm":
            volumes = [{"name": volume.name, "size_mib": volume.size_mib} for volume in machine.volumes_of(source)]
            where = volume_group(path, start, size, {"group": machine.GROUP, "volumes": volumes})
            for volume in machine.volumes_of(source):
                yield volume.mount or volume.content, volume.content, start + where[volume.name], volume.size_mib * MIB
        elif part.content not in ("grub", "extended"):
            yield part.mount or part.content, part.content, start, size


def _make_file_systems(source, root, devices) -> Dict[str, str]:
    """By the machine's own tools; FAT by this host's. Returns the UUIDs."""
    contents = {each.mount or each.content: each.content for each in machine.parts_of(source) + machine.volumes_of(source)}
    uuids = {}
    for key, device in devices.items():
        content = contents[key]
        if content == "vfat":
            run(["mkfs.vfat", "-F", "32", device])
        else:
            more = ["-O", SYSLINUX_EXT4] if source.loader == "extlinux" and content == "ext4" else []
            chroot(root, MAKE[content] + more + [device])
        uuids[key] = run(["blkid", "-p", "-s", "UUID", "-o", "value", device]).strip()
    return uuids


def _configure(source, root, names, identity, kernel):
    for path, text in machine.texts(source, names, identity).items():
        if os.path.islink(os.path.join(root, path)):
            os.unlink(os.path.join(root, path))
        write(root, path, text)
    os.chmod(os.path.join(root, "usr/local/sbin/matrix-identity"), 0o755)
    for folder, mode in (("etc/NetworkManager/system-connections", 0o600), ("etc/netplan", 0o600)):
        for name in os.listdir(os.path.join(root, folder)) if os.path.isdir(os.path.join(root, folder)) else ():
            os.chmod(os.path.join(root, folder, name), mode)
    chroot(root, ["systemctl", "enable", "matrix-identity.socket"] + list(machine.SERVICES[machine.manager_of(source)]))
    drivers = machine.BUSES[source.bus].drivers + (source.root,) + STACK_DRIVERS.get(source.storage, ())
    make = _dracut if source.initramfs == "dracut" else _initramfs_tools
    make(source, root, kernel, drivers)


def _initramfs_tools(source, root, kernel, drivers):
    """As MODULES=dep makes it on the old hardware; MODULES=dep itself would look at the hardware of this host."""
    policy = os.path.join(root, roots.QUICK["initramfs-tools"][0])
    with open(policy, encoding="utf-8") as file:
        kept = file.read()
    modules = os.path.join(root, "etc/initramfs-tools/modules")
    with open(modules, encoding="utf-8") as file:
        original = file.read()
    if source.initramfs == "dep":
        write(root, "etc/initramfs-tools/conf.d/driver-policy", "MODULES=list\n")
        write(root, "etc/initramfs-tools/modules", original + "".join(f"{name}\n" for name in drivers))
    chroot(root, ["update-initramfs", "-c", "-k", kernel])
    write(root, "etc/initramfs-tools/conf.d/driver-policy", kept)
    write(root, "etc/initramfs-tools/modules", original)
    _check_drivers(source, chroot(root, ["lsinitramfs", f"/boot/initrd.img-{kernel}"]))


def _dracut(source, root, kernel, drivers):
    """Hostonly, without /sys: no hardware of this host is found, the old one's drivers are named."""
    write(root, "etc/dracut.conf.d/10-host.conf", 'hostonly="yes"\n')
    command = ["dracut", "--force", "--hostonly", "--no-hostonly-cmdline", "--add-drivers", " ".join(drivers), "--filesystems", source.root]
    command += ["--omit-drivers", " ".join(_foreign_drivers(source))]
    modules = ["btrfs"] * (source.root == "btrfs") + ["lvm"] * (source.storage == "lvm")
    command += ["--add", " ".join(modules)] if modules else []
    chroot(root, command + [f"/boot/initrd.img-{kernel}", kernel])
    _check_drivers(source, chroot(root, ["lsinitrd", f"/boot/initrd.img-{kernel}"]))


def _check_drivers(source, listing):
    held = {os.path.basename(word).split(".ko")[0].replace("-", "_") for word in listing.split() if ".ko" in word}
    foreign = held.intersection(_foreign_drivers(source))
    if foreign and source.initramfs != "most":
        raise BuildError(f"the initramfs is not that of the old hardware: it has {', '.join(sorted(foreign))}")


def _foreign_drivers(source):
    """Of other hardware than the machine's own."""
    names = {name for bus in machine.BUSES.values() for name in bus.drivers}
    return sorted(names - set(machine.BUSES[source.bus].drivers) - SHARED_DRIVERS)


def _loader_files(source, root, names, uuids, identity, kernel, esp):
    """What lies in /boot, and in `esp` what is for the EFI system partition. Nothing is put where a firmware without boot entries looks."""
    if source.loader == "extlinux":
        write(root, "boot/extlinux/extlinux.conf", machine.extlinux_menu(source, names, kernel))
    elif source.loader == "sdboot":
        _copy(_systemd_boot(root), os.path.join(esp, "EFI/systemd/systemd-bootx64.efi"))
        write(esp, "loader/loader.conf", "timeout 1\n")
        write(esp, f"loader/entries/{identity.machine_id}-{kernel}.conf", machine.systemd_boot_entry(source, names, identity, kernel))
        for name, path in (("linux", f"vmlinuz-{kernel}"), (f"initrd.img-{kernel}", f"initrd.img-{kernel}")):
            _copy(os.path.join(root, "boot", path), os.path.join(esp, identity.machine_id, kernel, name))
    else:
        write(root, "boot/grub/grub.cfg", machine.grub_menu(source, names, uuids, kernel))
        chroot(root, ["grub-editenv", "/boot/grub/grubenv", "create"])
    if source.loader == "grubuefi":
        signed = os.path.join(root, "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")
        _copy(signed, os.path.join(esp, "EFI/debian/grubx64.efi"))
        for name in ("shimx64.efi.signed", "mmx64.efi.signed", "mmx64.efi"):
            if os.path.exists(os.path.join(root, "usr/lib/shim", name)):
                _copy(os.path.join(root, "usr/lib/shim", name), os.path.join(esp, "EFI/debian", name.replace(".signed", "")))
        place = "/boot" if "/boot" in uuids else "/"
        folder = {"/boot": "/grub", "/": "/@rootfs/boot/grub" if source.root == "btrfs" else "/boot/grub"}[place]
        menu = f"search.fs_uuid {uuids[place]} root\nset prefix=($root)'{folder}'\nconfigfile $prefix/grub.cfg\n"
        write(esp, "EFI/debian/grub.cfg", menu)
        shutil.copytree(os.path.join(root, "usr/lib/grub/x86_64-efi"), os.path.join(root, "boot/grub/x86_64-efi"))
    elif source.loader == "grubbios":
        _grub_core(source, root, uuids)


def _systemd_boot(root):
    """From Debian 13 on the machine has the signed one alone, and bootctl(1) installs that under the same name."""
    program = os.path.join(root, "usr/lib/systemd/boot/efi/systemd-bootx64.efi")
    return program + ".signed" if os.path.exists(program + ".signed") else program


def _copy(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(source, target)


def _grub_core(source, root, uuids):
    platform = os.path.join(root, "boot/grub/i386-pc")
    shutil.copytree(os.path.join(root, "usr/lib/grub/i386-pc"), platform, ignore=shutil.ignore_patterns("*.image", "gdb*", "kernel.img"))
    separate = "/boot" in uuids
    table = "msdos" if source.storage == "mbr" else "gpt"
    modules = ["biosdisk", f"part_{table}", "ext2" if separate else machine.GRUB_MODULES[source.root]]
    if source.storage == "lvm" and not separate:
        prefix = f"(lvm/{machine.GROUP}-root)/boot/grub"
        modules.append("lvm")
    else:
        folder = "/grub" if separate else "/@rootfs/boot/grub" if source.root == "btrfs" else "/boot/grub"
        prefix = f"(,{table}{machine.number_of(source, '/boot' if separate else '/')}){folder}"
    chroot(root, ["grub-mkimage", "--format=i386-pc", f"--prefix={prefix}", "--output=/boot/grub/i386-pc/core.img"] + modules)


@contextlib.contextmanager
def _mounted(source, devices, target):
    """The machine's file systems as it mounts them; FAT is written apart."""
    contents = {each.mount: each.content for each in machine.parts_of(source) + machine.volumes_of(source) if each.mount}
    contents.pop("/boot/efi", None)
    done = []
    os.makedirs(target)
    try:
        if source.root == "btrfs":
            run(["mount", "-t", "btrfs", devices["/"], target])
            done.append(target)
            for subvolume in machine.SUBVOLUMES:
                run(["btrfs", "subvolume", "create", os.path.join(target, subvolume)])
            run(["umount", done.pop()])
        for mount in sorted(contents):
            point = os.path.normpath(target + mount)
            os.makedirs(point, exist_ok=True)
            options = ["-o", "subvol=@rootfs"] if contents[mount] == "btrfs" else []
            run(["mount", "-t", contents[mount]] + options + [devices[mount], point])
            done.append(point)
        if source.root == "btrfs":
            os.makedirs(target + "/home", exist_ok=True)
        os.makedirs(target + "/boot/efi", exist_ok=True)
        yield
    finally:
        for point in reversed(done):
            run(["umount", point])


def _write_esp(device, esp):
    """This host's kernel may have no FAT: mtools write it."""
    run(["mcopy", "-s", "-Q", "-i", device] + [os.path.join(esp, name) for name in sorted(os.listdir(esp))] + ["::/"])


def _boot_code(source, path, root):
    if source.loader == "extlinux":
        name = "mbr.bin" if source.storage == "mbr" else "gptmbr.bin"
        with open(os.path.join(SYSLINUX, name), "rb") as code, open(path, "r+b") as disk:
            disk.write(code.read(440))
    elif source.loader == "grubbios":
        images = {}
        for name in ("boot.img", "core.img"):
            with open(os.path.join(root, "boot/grub/i386-pc", name), "rb") as file:
                images[name] = file.read()
        gap = [(part.start_mib * 2048, part.size_mib * 2048) for part in machine.parts_of(source) if part.content == "grub"] or [(1, 2047)]
        grub.embed(path, images["boot.img"], images["core.img"], *gap[0])
