# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signatures of file systems: one probe each, `probe(window) -> Content or None`.

Each checks more than the magic number, since a partition may hold anything. Offsets are those of the on-disk formats: ext
(kernel Documentation/filesystems/ext4), XFS (Documentation/filesystems/xfs), btrfs (btrfs_tree.h), Microsoft's FAT and exFAT
specifications, and for NTFS the kernel's fs/ntfs3/ntfs.h.
"""

import struct
import uuid

from .model import Content

# Feature bits that an ext2 or ext3 driver knows; a file system with any other is ext4.
EXT_COMPAT_JOURNAL = 0x4
EXT_INCOMPAT_JOURNAL_DEVICE = 0x8
EXT_INCOMPAT_64BIT = 0x80
EXT2_INCOMPAT = 0x2 | 0x10            # filetype, meta_bg
EXT3_INCOMPAT = EXT2_INCOMPAT | 0x4   # and recover
EXT3_RO_COMPAT = 0x1 | 0x2 | 0x4      # sparse_super, large_file, btree_dir

BTRFS_SUPER = 0x10000

FAT_LAST_CLUSTER = 0x0FFFFFF6
MAX_ROOT_CLUSTERS = 100               # how far a root directory is followed for a label


def text(raw):
    """The text of a fixed field that ends at the first NUL, as blkid shows it: without blanks at the end."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace").rstrip()


def uuid_text(raw):
    """A UUID as text, "" for the all-zero one, which blkid does not print."""
    return str(uuid.UUID(bytes=bytes(raw))) if any(raw) else ""


def is_power_of_two(number):
    return number > 0 and number & (number - 1) == 0


def probe_ext(window):
    """ext2, ext3 or ext4, told apart by the features, as the kernel drivers would accept them."""
    raw = window.get(1024, 1024)
    if raw[56:58] != b"\x53\xef":
        return None
    compat, incompat, ro_compat = struct.unpack_from("<III", raw, 92)
    block_shift, blocks = struct.unpack_from("<I", raw, 24)[0], struct.unpack_from("<I", raw, 4)[0]
    if block_shift > 6:
        return None
    if incompat & EXT_INCOMPAT_64BIT:
        blocks |= struct.unpack_from("<I", raw, 0x150)[0] << 32
    own, label = uuid_text(raw[104:120]), text(raw[120:136])
    if incompat & EXT_INCOMPAT_JOURNAL_DEVICE:
        return Content("unknown", own, label, note="It is the external journal of an ext file system.")
    if incompat & ~EXT3_INCOMPAT or ro_compat & ~EXT3_RO_COMPAT:
        kind = "ext4"
    elif compat & EXT_COMPAT_JOURNAL:
        kind = "ext3"
    else:
        kind = "ext2" if not incompat & ~EXT2_INCOMPAT else "ext4"
    return Content(kind, own, label, blocks << (10 + block_shift))


def probe_xfs(window):
    raw = window.get(0, 512)
    if raw[:4] != b"XFSB":
        return None
    block_size, blocks = struct.unpack_from(">IQ", raw, 4)
    sector_size = struct.unpack_from(">H", raw, 102)[0]
    if not (is_power_of_two(block_size) and 512 <= block_size <= 65536 and is_power_of_two(sector_size)):
        return None
    return Content("xfs", uuid_text(raw[32:48]), text(raw[108:120]), block_size * blocks)


def probe_btrfs(window):
    """`size` is what the file system uses of this device; a file system may have several."""
    raw = window.get(BTRFS_SUPER, 0x22b)
    if raw[0x40:0x48] != b"_BHRfS_M":
        return None
    size = struct.unpack_from("<Q", raw, 0xc9 + 8)[0]
    return Content("btrfs", uuid_text(raw[0x20:0x30]), text(raw[0x12b:0x22b]), size)


# FAT

def probe_vfat(window):
    """FAT12, FAT16 and FAT32. The label is the one in the root directory; the copy in the boot sector is often stale."""
    raw = window.get(0, 512)
    sector_size, cluster_sectors, reserved, copies, root_entries, sectors = struct.unpack_from("<HBHBHH", raw, 11)
    media, fat_sectors = raw[21], struct.unpack_from("<H", raw, 22)[0]
    sectors = sectors or struct.unpack_from("<I", raw, 32)[0]
    is_fat32 = fat_sectors == 0
    if is_fat32:
        fat_sectors = struct.unpack_from("<I", raw, 36)[0]
    if not (sector_size in (512, 1024, 2048, 4096) and is_power_of_two(cluster_sectors) and reserved and copies and fat_sectors
            and sectors and (media >= 0xF8 or media == 0xF0)):
        return None
    if raw[510:512] != b"\x55\xaa" and raw[54:59] not in (b"FAT12", b"FAT16") and raw[82:87] != b"FAT32":
        return None
    if raw[54:62] in (b"JFS     ", b"HPFS    "):    # OS/2 puts a FAT look-alike in front of these
        return None
    if is_fat32 and root_entries:
        return None
    root = (reserved + copies * fat_sectors) * sector_size
    if is_fat32:
        first_cluster = struct.unpack_from("<I", raw, 44)[0]
        directory = _fat32_directory(window, reserved * sector_size, root, cluster_sectors * sector_size, first_cluster)
        serial = raw[67:71]
    else:
        directory = iter([window.get(root, min(root_entries * 32, 65536 * 32))])
        serial = raw[39:43]
    return Content("vfat", _fat_serial(serial), _fat_label(directory), sectors * sector_size)


def _fat_serial(raw):
    number = struct.unpack("<I", raw)[0]
    return f"{number >> 16:04X}-{number & 0xFFFF:04X}" if number else ""


def _fat32_directory(window, fat, data, cluster_size, cluster):
    for _step in range(MAX_ROOT_CLUSTERS):
        if not 2 <= cluster <= FAT_LAST_CLUSTER:
            return
        yield window.get(data + (cluster - 2) * cluster_size, cluster_size)
        cluster = struct.unpack("<I", window.get(fat + cluster * 4, 4))[0] & 0x0FFFFFFF


def _fat_label(pieces):
    for piece in pieces:
        for offset in range(0, len(piece) - 31, 32):
            entry = piece[offset:offset + 32]
            attributes = entry[11]
            if entry[0] == 0:
                return ""
            deleted, long_name = entry[0] == 0xE5, attributes & 0x3F == 0x0F
            has_cluster = any(entry[20:22]) or any(entry[26:28])
            if deleted or long_name or has_cluster or attributes & 0x18 != 0x08:
                continue
            name = entry[:11]
            if name[0] == 0x05:    # stands for E5, which would mean "deleted"
                name = b"\xe5" + name[1:]
            return text(name)
    return ""


def probe_exfat(window):
    raw = window.get(0, 512)
    if raw[3:11] != b"EXFAT   " or any(raw[11:64]):
        return None
    sectors, fat, _fat_sectors, heap, _clusters, root, serial = struct.unpack_from("<QIIIIII", raw, 72)
    sector_shift, cluster_shift = raw[108], raw[109]
    if not 9 <= sector_shift <= 12 or sector_shift + cluster_shift > 25:
        return None
    cluster_size = 1 << (sector_shift + cluster_shift)
    directory = _fat32_directory(window, fat << sector_shift, heap << sector_shift, min(cluster_size, 65536), root)
    own = f"{serial >> 16:04X}-{serial & 0xFFFF:04X}"
    return Content("exfat", own, _exfat_label(directory), sectors << sector_shift)


def _exfat_label(pieces):
    for piece in pieces:
        for offset in range(0, len(piece) - 31, 32):
            kind, length = piece[offset], piece[offset + 1]
            if kind == 0:
                return ""
            if kind == 0x83 and length <= 11:
                return piece[offset + 2:offset + 2 + 2 * length].decode("utf-16-le", "replace")
    return ""


# NTFS

def probe_ntfs(window):
    raw = window.get(0, 512)
    if raw[3:11] != b"NTFS    ":
        return None
    sector_size, cluster_sectors = struct.unpack_from("<HB", raw, 11)
    sectors, table = struct.unpack_from("<QQ", raw, 40)
    if not (is_power_of_two(sector_size) and 256 <= sector_size <= 4096):
        return None
    if cluster_sectors > 128:    # a negative power of two
        cluster_sectors = 1 << (256 - cluster_sectors)
    if not is_power_of_two(cluster_sectors):
        return None
    cluster_size = sector_size * cluster_sectors
    record_size = struct.unpack_from("<b", raw, 64)[0]
    record_size = 1 << -record_size if record_size < 0 else record_size * cluster_size
    serial = struct.unpack_from("<Q", raw, 72)[0]
    label = _ntfs_label(window, table * cluster_size, record_size) if 256 <= record_size <= 65536 else ""
    return Content("ntfs", f"{serial:016X}", label, sectors * sector_size)


def _ntfs_label(window, table, record_size):
    """The resident attribute $VOLUME_NAME (0x60) of file record 3, $Volume."""
    record = window.get(table + 3 * record_size, record_size)
    if record[:4] != b"FILE":
        return ""
    position = struct.unpack_from("<H", record, 20)[0]
    while position + 24 <= len(record):
        kind, length = struct.unpack_from("<II", record, position)
        if kind == 0xFFFFFFFF or length < 24:
            break
        if kind == 0x60 and record[position + 8] == 0:
            size, start = struct.unpack_from("<IH", record, position + 16)
            return record[position + start:position + start + size].decode("utf-16-le", "replace")
        position += length
    return ""
