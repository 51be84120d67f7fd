# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a disk, partition or volume holds, told by its signature, with UUID and label as blkid prints them.

Members of something larger (MD, LVM, LUKS, BitLocker) are looked for first, since such a member may also show the signature of
the file system that it carries. Of file systems and swap exactly one may be there: with two signatures nobody can say
which one is stale, so the answer is "unknown", and what is unknown is read whole. blkid decides the same way.
"""

import binascii
import struct
import uuid

from . import filesystems
from .model import Content

HEAD_SIZE = 0x11000       # bytes: up to and with the btrfs super block
TAIL_SIZE = 0x20000       # bytes: reaches back to the super block of MD 0.90

SWAP_PAGE_SIZES = (4096, 8192, 16384, 32768, 65536)
SWAP_MAGICS = (b"SWAPSPACE2", b"SWAP-SPACE")
# Written over the swap magic by a kernel or tool that saved a hibernated system there (kernel/power/swap.c, uswsusp, TuxOnIce).
HIBERNATION_MAGICS = (b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001", b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c")

MD_MAGIC = 0xA92B4EFC     # include/uapi/linux/raid/md_p.h
ZFS_MAGIC = 0x00BAB10C    # uberblock, "ZFS On-Disk Specification" 1.3
ZFS_LABEL_SIZE = 256 * 1024


class Window:
    """The first and last bytes of a volume, read once; anything else by `read_at`. What lies outside the volume reads as zeros."""

    def __init__(self, read_at, size):
        self.size = size
        self._read_at = read_at
        self.head = read_at(0, min(size, HEAD_SIZE)).ljust(HEAD_SIZE, b"\0")
        self.tail_start = max(0, size - TAIL_SIZE)
        self.tail = read_at(self.tail_start, size - self.tail_start)

    def get(self, offset, length):
        if offset < 0 or offset + length > self.size:
            return bytes(length)
        if offset + length <= HEAD_SIZE:
            return self.head[offset:offset + length]
        if offset >= self.tail_start:
            start = offset - self.tail_start
            return self.tail[start:start + length].ljust(length, b"\0")
        return self._read_at(offset, length).ljust(length, b"\0")


def probe_content(read_at, size):
    """The `Content` of a volume of `size` bytes; `read_at(offset, length)` counts from the start of the volume.

    "empty" only says that there is no signature and that the first 64 KiB are zero. It does not say that the rest may be
    skipped.
    """
    window = Window(read_at, size)
    for probe in MEMBER_PROBES:
        content = probe(window)
        if content is not None:
            return content
    found = [content for content in (probe(window) for probe in VOLUME_PROBES) if content is not None]
    if len(found) == 1:
        return found[0]
    if found:
        kinds = " and ".join(content.kind for content in found)
        return Content("unknown", note=f"It has the signatures of {kinds} at once; one must be stale, so it is not interpreted.")
    if not any(window.head[:65536]) and not any(window.tail[-4096:]):
        return Content("empty")
    return Content("unknown")


# Members of something larger

def probe_md(window):
    """Linux MD: format 1.x names its place in the minor version, 0.90 lies in the last whole 64 KiB block but one."""
    old = window.size // 65536 * 65536 - 65536
    for order in "<>":
        words = struct.unpack(order + "16I", window.get(old, 64))
        if words[0] == MD_MAGIC and words[1] == 0:
            own = struct.pack(">4I", words[5], *words[13:16])
            return Content("md", str(uuid.UUID(bytes=own)), size=old)
    for position in ((window.size // 512 - 16) // 8 * 8 * 512, 0, 4096):
        raw = window.get(position, 128)
        magic, major = struct.unpack_from("<II", raw)
        if magic == MD_MAGIC and major == 1:
            name = filesystems.text(raw[32:64])
            return Content("md", str(uuid.UUID(bytes=raw[16:32])), name)
    return None


def probe_luks(window):
    raw = window.get(0, 512)
    if raw[:6] != b"LUKS\xba\xbe":
        return None
    version = struct.unpack_from(">H", raw, 6)[0]
    if version not in (1, 2):
        return None
    label = filesystems.text(raw[24:72]) if version == 2 else ""
    return Content("luks", filesystems.text(raw[168:208]), label)


def probe_lvm2(window):
    """A physical volume: its label lies in one of the first four sectors of 512 bytes (LVM2 lib/label/label.h)."""
    for sector in range(4):
        raw = window.get(sector * 512, 512)
        if raw[:8] != b"LABELONE" or raw[24:32] != b"LVM2 001":
            continue
        own_sector, _checksum, offset = struct.unpack_from("<QII", raw, 8)
        if own_sector != sector or offset + 40 > 512:
            continue
        letters = raw[offset:offset + 32].decode("ascii", "replace")
        size = struct.unpack_from("<Q", raw, offset + 32)[0]
        cuts = (0, 6, 10, 14, 18, 22, 26, 32)
        return Content("lvm2", "-".join(letters[start:end] for start, end in zip(cuts, cuts[1:])), size=size)
    return None


def probe_bitlocker(window):
    """BitLocker of Windows Vista and later, and BitLocker To Go, whose boot sector looks like FAT32 but for its GUID."""
    raw = window.get(0, 512)
    to_go = binascii.unhexlify("3bd66749292ed84a8399f6a339e3d001")
    if raw[3:11] == b"-FVE-FS-" or (raw[3:11] == b"MSWIN4.1" and raw[424:440] == to_go):
        return Content("bitlocker")
    return None


# File systems and swap

def probe_swap(window):
    """Linux swap (include/linux/swap.h, union swap_header); the signature ends the first page, whatever a page is there."""
    for page_size in SWAP_PAGE_SIZES:
        magic = window.get(page_size - 10, 10)
        hibernated = magic.startswith(HIBERNATION_MAGICS)
        if magic not in SWAP_MAGICS and not hibernated:
            continue
        header = window.get(1024, 44)
        size = 0
        own, label = "", ""
        for order in "<>":
            version, last_page = struct.unpack_from(order + "II", header)
            if version == 1:
                size = (last_page + 1) * page_size
                own = filesystems.uuid_text(header[12:28])
                label = filesystems.text(header[28:44])
        note = "It holds a hibernated system, which a recovered machine would resume into." if hibernated else ""
        return Content("swap", own, label, size, note)
    return None


def probe_zfs(window):
    """A member of a ZFS pool, told by uberblocks in one of its four labels. The pool's name and GUID are not read."""
    end = window.size // ZFS_LABEL_SIZE * ZFS_LABEL_SIZE
    for label in (0, ZFS_LABEL_SIZE, end - 2 * ZFS_LABEL_SIZE, end - ZFS_LABEL_SIZE):
        ring = window.get(label + ZFS_LABEL_SIZE // 2, ZFS_LABEL_SIZE // 2)
        magics = {ring[offset:offset + 8] for offset in range(0, len(ring), 1024)}
        if struct.pack("<Q", ZFS_MAGIC) in magics or struct.pack(">Q", ZFS_MAGIC) in magics:
            return Content("zfs")
    return None


MEMBER_PROBES = (probe_md, probe_luks, probe_lvm2, probe_bitlocker)
VOLUME_PROBES = (
    probe_swap,
    filesystems.probe_ext,
    filesystems.probe_xfs,
    filesystems.probe_btrfs,
    filesystems.probe_ntfs,
    filesystems.probe_exfat,
    filesystems.probe_vfat,
    probe_zfs,
)
