# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The worker's own GRUB 2, made into one program that needs no other file of GRUB and goes on with the machine's menu.

grub-mkimage packs kernel and modules with a small file system in memory that holds the first grub.cfg: so the machine's modules, of another
version or for other firmware, are not mixed with these. That grub.cfg finds the machine's file system by UUID, sets `prefix` to the folder
of the menu (fonts, themes and grubenv come from there) and runs it.

Commands for Linux are called otherwise by the GRUBs of some distributions and firmwares: linux16 (Red Hat, BIOS) and linuxefi (UEFI). GRUB
looks for a command first and for a function then, so functions stand in where the command is missing.

For BIOS the boot sector names the first sector of the core image, and that the rest (GRUB grub-core/boot/i386/pc/boot.S, diskboot.S;
include/grub/i386/pc/boot.h).
"""

# The library knows no AnsibleModule, whose run_command the rule asks for.
# pylint: disable=ansible-bad-function

import io
import os
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zlib

from typing import NamedTuple, Sequence

from ...errors import TargetError
from ...machine.partitions import ADDED_LOADER, ADDED_LOADER_AT
from .menu import CANNOT, Menu, Place

FOLDERS = {
    "uefi": ("/usr/lib/grub/x86_64-efi", "/usr/lib/grub2/x86_64-efi", "/usr/share/grub2/x86_64-efi"),
    "bios": ("/usr/lib/grub/i386-pc", "/usr/lib/grub2/i386-pc", "/usr/share/grub2/i386-pc"),
}
PACKAGES = {
    "uefi": "grub-efi-amd64-bin (Debian, Ubuntu), grub2-efi-x64-modules (Red Hat and its relatives) or grub2-x86_64-efi (SUSE)",
    "bios": "grub-pc-bin (Debian, Ubuntu), grub2-pc-modules (Red Hat and its relatives) or grub2-i386-pc (SUSE)",
}
FORMATS = {"uefi": "x86_64-efi", "bios": "i386-pc"}
DISK_MODULE = {"uefi": (), "bios": ("biosdisk",)}

# What is needed to come to the menu.
MODULES = (
    "memdisk", "tar", "normal", "configfile", "search", "search_fs_uuid", "part_gpt", "part_msdos", "ext2", "xfs", "btrfs", "fat", "lvm",
    "mdraid09", "mdraid1x", "raid5rec", "raid6rec", "diskfilter", "test", "echo", "sleep", "linux", "boot",
)
# What menus of distributions use; each that this GRUB has. Their configuration would look for the others in the machine's own folder.
MENU_MODULES = (
    "linux16", "linuxefi", "loadenv", "gzio", "xzio", "lzopio", "zstd", "gettext", "all_video", "video", "video_fb", "gfxterm",
    "gfxterm_background", "gfxmenu", "font", "png", "jpeg", "tga", "terminal", "terminfo", "serial", "keystatus", "minicmd", "help", "ls",
    "cat", "true", "eval", "regexp", "probe", "search_fs_file", "search_label", "halt", "reboot", "cpuid", "smbios", "date", "datetime",
    "password", "password_pbkdf2", "chain", "loopback", "iso9660", "efi_gop", "efi_uga", "efifwsetup", "vbe", "vga", "video_bochs",
    "video_cirrus", "multiboot", "multiboot2", "increment", "crc64", "part_bsd", "reiserfs", "jfs",
)

# include/grub/i386/pc/boot.h and grub-core/boot/i386/pc/boot.S: offsets in the boot sector.
KERNEL_SECTOR = 0x5C                 # 8 bytes: sector of the core image
DRIVE_CHECK = 0x66                   # 2 bytes: a jump over code that trusts what BIOS says, or two NOPs
NOPS = b"\x90\x90"
# diskboot.S: the list of blocks grows downwards from the end of the first sector of the core image; sector (8 bytes), count (2),
# segment (2).
BLOCK_LIST = 512 - 12
SECTOR = 512                         # bytes; what BIOS reads
PATIENCE = 300                       # seconds; a file system of unknown making may send GRUB's code round in circles
IN_MEMORY = "boot/grub"              # folder of the file system in memory

_SCRIPT = """\
function linux16 {{ linux "$@"; }}
function initrd16 {{ initrd "$@"; }}
function linuxefi {{ linux "$@"; }}
function initrdefi {{ initrd "$@"; }}
{find}
if [ -f "($root){inside}" ]; then
  set prefix="($root){folder}"
  configfile "($root){inside}"
fi
echo "There is no {inside} on the file system {name} of this machine."
sleep 30
"""


class BiosLoader(NamedTuple):
    boot_code: bytes                 # for the first sector of the disk
    core: bytes                      # a whole number of sectors


def grub_script(menu: Menu) -> str:
    """What GRUB runs first."""
    place = menu.place
    find = f"search --no-floppy --fs-uuid --set=root {place.uuid}" if place.uuid else f"set root={place.volume}"
    return _SCRIPT.format(find=find, inside=place.inside, folder=os.path.dirname(place.inside), name=place.uuid or place.volume)


def make_efi_program(menu: Menu) -> bytes:
    r"""The program for \EFI\BOOT\\BOOTX64.EFI. TargetError where the worker has no GRUB for that."""
    return _make_image("uefi", menu)


def make_core(menu: Menu) -> bytes:
    """The core image for BIOS as it lies on no disk yet. TargetError where the worker has no GRUB for that."""
    core = _make_image("bios", menu)
    return core.ljust((len(core) + SECTOR - 1) // SECTOR * SECTOR, b"\0")


def placed_loader(core: bytes, sector: int) -> BiosLoader:
    """The loader whose core image begins in this sector of the disk."""
    with open(os.path.join(_folder("bios"), "boot.img"), "rb") as stream:
        boot = bytearray(stream.read(SECTOR))
    boot[KERNEL_SECTOR:KERNEL_SECTOR + 8] = struct.pack("<Q", sector)
    boot[DRIVE_CHECK:DRIVE_CHECK + 2] = NOPS
    boot[ADDED_LOADER_AT:ADDED_LOADER_AT + len(ADDED_LOADER)] = ADDED_LOADER
    placed = bytearray(core)
    struct.pack_into("<QH", placed, BLOCK_LIST, sector + 1, len(core) // SECTOR - 1)
    return BiosLoader(bytes(boot), bytes(placed))


def check_readable(menu: Menu, disks: Sequence, tree) -> None:
    """Proves by the worker's GRUB itself that it can read the menu, the kernels and the initramfs. Raises TargetError.

    :param disks: (name, path of the raw disk, kind of its partition table) of each.

    A file system may be newer than this GRUB: it would stop at its prompt. grub-fstest reads disks with the same code.
    """
    program = _program("fstest")
    for place in (menu.place,) + menu.files:
        device = _device(place, disks)
        if not device:
            continue
        done = _run([program, "-c", str(len(disks))] + [path for _name, path, _table in disks] + ["crc", f"({device}){place.inside}"])
        said = done.stdout.decode("ascii", "replace").strip().lower()
        if done.returncode or said != _crc(tree, place.path):
            reason = " ".join(done.stderr.decode("utf-8", "replace").split())[-200:] or "it reads other bytes"
            raise TargetError(f"{CANNOT}: the worker's GRUB cannot read {place.path} of it ({reason}). Use a worker with a newer GRUB.")


def _device(place: Place, disks):
    """What grub-fstest calls the file system; "" for an array, which nobody here can name as GRUB does."""
    if not place.disk:
        return place.volume
    index, table = next((index, table) for index, (name, _path, table) in enumerate(disks) if name == place.disk)
    return f"loop{index}" + (f",{'gpt' if table == 'gpt' else 'msdos'}{place.partition}" if place.partition else "")


def _crc(tree, path):
    total = 0
    with tree.open(path) as stream:
        for piece in iter(lambda: stream.read(1 << 20), b""):
            total = zlib.crc32(piece, total)
    return f"{total & 0xFFFFFFFF:08x}"


def _make_image(firmware, menu):
    folder = _folder(firmware)
    wanted = DISK_MODULE[firmware] + MODULES + MENU_MODULES
    modules = [name for name in wanted if os.path.exists(os.path.join(folder, name + ".mod"))]
    lacking = [name for name in DISK_MODULE[firmware] + MODULES if name not in modules]
    if lacking:
        raise TargetError(f"The worker's GRUB in {folder} lacks {', '.join(lacking)}. Install {PACKAGES[firmware]} on the worker.")
    program = _program("mkimage")
    with tempfile.TemporaryDirectory(prefix="agnostic-recovery-") as scratch:
        image, memdisk = os.path.join(scratch, "image"), os.path.join(scratch, "memdisk.tar")
        with open(memdisk, "wb") as stream:
            stream.write(_memdisk(grub_script(menu)))
        done = _run([program, "-O", FORMATS[firmware], "-d", folder, "-p", "(memdisk)/" + IN_MEMORY, "-m", memdisk, "-o", image] + modules)
        if done.returncode:
            reason = " ".join(done.stderr.decode("utf-8", "replace").split())[-300:]
            raise TargetError(f"{program} could not make a boot loader for {firmware.upper()}: {reason or 'no reason given'}.")
        with open(image, "rb") as stream:
            return stream.read()


def _memdisk(script):
    """The same bytes in every run."""
    data = script.encode("ascii")
    entry = tarfile.TarInfo(IN_MEMORY + "/grub.cfg")
    entry.size = len(data)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def _folder(firmware):
    for folder in FOLDERS[firmware]:
        if os.path.exists(os.path.join(folder, "moddep.lst")):
            return folder
    raise TargetError(f"The worker has no GRUB for {firmware.upper()}. Install {PACKAGES[firmware]} on the worker.")


def _program(name):
    found = next((path for path in (shutil.which(prefix + name) for prefix in ("grub-", "grub2-")) if path), "")
    if not found:
        raise TargetError(f"grub-{name} is not installed on the worker: install grub-common (Debian, Ubuntu) or grub2-tools-extra "
                          "(Red Hat and its relatives).")
    return found


def _run(command):
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              env=dict(os.environ, LC_ALL="C"), timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise TargetError(f"{CANNOT}: {command[0]} did not end within {PATIENCE} seconds.") from error
