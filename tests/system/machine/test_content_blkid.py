# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signatures as real mkfs programs write them, compared with what blkid says about the same file."""

import os
import re
import shutil
import struct
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.machine.content import probe_content

MIB = 1024 * 1024
KINDS = {"crypto_LUKS": "luks", "LVM2_member": "lvm2", "linux_raid_member": "md", "zfs_member": "zfs", "BitLocker": "bitlocker"}

MADE = [
    ("ext2", 64, ["mkfs.ext2", "-q", "-L", "data two"]),
    ("ext2", 64, ["mkfs.ext2", "-q", "-O", "none"]),
    ("ext3", 64, ["mkfs.ext3", "-q", "-L", "old"]),
    ("ext4", 64, ["mkfs.ext4", "-q", "-L", "sixteen-letters!"]),
    ("ext4", 64, ["mkfs.ext4", "-q", "-b", "1024", "-O", "64bit,metadata_csum"]),
    ("ext4", 64, ["mkfs.ext4", "-q", "-O", "^has_journal,extents"]),
    ("ext4", 64, ["mkfs.ext4", "-q", "-U", "clear", "-L", "\u00fcmlaut"]),
    ("xfs", 320, ["mkfs.xfs", "-q", "-L", "twelve-chars"]),
    ("xfs", 320, ["mkfs.xfs", "-q", "-s", "size=4096"]),
    ("btrfs", 256, ["mkfs.btrfs", "-q", "-L", " butter  "]),
    ("btrfs", 256, ["mkfs.btrfs", "-q", "--mixed"]),
    ("vfat", 4, ["mkfs.vfat", "-F", "12", "-n", "TWELVE"]),
    ("vfat", 32, ["mkfs.vfat", "-F", "16", "-n", "SIXTEEN"]),
    ("vfat", 64, ["mkfs.vfat", "-F", "32", "-n", "EFI SYSTEM"]),
    ("vfat", 64, ["mkfs.vfat", "-F", "32"]),
    ("vfat", 300, ["mkfs.vfat", "-F", "32", "-S", "4096", "-n", "FOURK"]),
    ("vfat", 64, ["mkfs.vfat", "-F", "32", "-s", "1", "-i", "00000012"]),
    ("exfat", 64, ["mkfs.exfat", "-L", "EX ch\u00e4nge"]),
    ("exfat", 64, ["mkfs.exfat"]),
    ("ntfs", 64, ["mkfs.ntfs", "-q", "-F", "-Q", "-L", "System reserved"]),
    ("ntfs", 64, ["mkfs.ntfs", "-q", "-F", "-Q", "-s", "4096", "-c", "65536"]),
    ("swap", 16, ["mkswap", "-q", "-L", "swap0"]),
    ("swap", 16, ["mkswap", "-q", "--pagesize", "65536"]),
    ("swap", 16, ["mkswap", "-q", "--pagesize", "8192", "-L", "eight"]),
    ("luks", 32, ["cryptsetup", "-q", "luksFormat", "--type", "luks1", "--pbkdf-force-iterations", "1000"]),
    ("luks", 32, ["cryptsetup", "-q", "luksFormat", "--type", "luks2", "--label", "vault", "--pbkdf", "pbkdf2",
                  "--pbkdf-force-iterations", "1000"]),
]


def blkid(path):
    """TYPE, UUID and LABEL by blkid; {} where it finds nothing or more than one thing. The udev form alone gives every byte of a label."""
    if shutil.which("blkid") is None:
        pytest.skip("no blkid on this machine")
    out = subprocess.run(["blkid", "-p", "-o", "udev", str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False).stdout
    values = dict(line.split(b"=", 1) for line in out.splitlines() if b"=" in line)
    if not values.get(b"ID_FS_TYPE"):
        return {}
    encoded = values.get(b"ID_FS_LABEL_ENC", b"")
    label = re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match.group(1), 16)]), encoded)
    return {"TYPE": values[b"ID_FS_TYPE"].decode(), "UUID": values.get(b"ID_FS_UUID", b"").decode(), "LABEL": label.decode()}


def probe(path):
    with open(str(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        return probe_content(lambda offset, length: os.pread(file.fileno(), length, offset), size)


def sparse(path, size):
    with open(str(path), "wb") as file:
        file.truncate(size)
    return path


def assert_as_blkid(path, kind):
    ours, theirs = probe(path), blkid(path)
    assert ours.kind == kind
    assert theirs and KINDS.get(theirs["TYPE"], theirs["TYPE"]) == kind
    assert ours.uuid == theirs["UUID"]
    assert ours.label == theirs["LABEL"]
    return ours


@pytest.mark.parametrize("kind,mib,command", MADE, ids=lambda value: " ".join(value) if isinstance(value, list) else str(value))
def test_a_made_file_system_is_told_as_blkid_tells_it(tmp_path, kind, mib, command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} on this machine")
    path = sparse(tmp_path / "volume", mib * MIB)
    tail = [str(path)] + (["-"] if command[0] == "cryptsetup" else [])
    subprocess.run(command + tail, input=b"a passphrase", stdout=subprocess.DEVNULL, check=True)
    found = assert_as_blkid(path, kind)
    assert found.size <= mib * MIB
    if kind not in ("luks", "ntfs"):
        assert found.size >= mib * MIB * 9 // 10


def test_physical_volume_of_lvm(tmp_path):
    if shutil.which("pvcreate") is None:
        pytest.skip("no pvcreate on this machine")
    path = sparse(tmp_path / "volume", 64 * MIB)
    loop = subprocess.run(["losetup", "--find", "--show", str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    if loop.returncode:
        pytest.skip("no free loop device on this machine")
    device = loop.stdout.decode().strip()
    try:
        config = f'devices {{ filter=["a|{device}|","r|.*|"] scan="/dev" }} global {{ use_lvmpolld=0 }}'
        made = subprocess.run(["pvcreate", "-q", "-ff", "-y", "--config", config, device], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
    finally:
        subprocess.run(["losetup", "--detach", device], stdin=subprocess.DEVNULL, check=True)
    if made.returncode:
        pytest.skip("pvcreate does not work without a device-mapper: " + made.stdout.decode().strip())
    assert assert_as_blkid(path, "lvm2").size == 64 * MIB


@pytest.mark.parametrize("size", [64 * MIB, 64 * MIB + 4096 + 512, 64 * MIB + 65536 - 512])
@pytest.mark.parametrize("minor", [0, 1, 2])
def test_md_superblocks_1(tmp_path, size, minor):
    path = sparse(tmp_path / "volume", size)
    offset = ((size // 512 - 16) // 8 * 8 * 512, 0, 4096)[minor]
    block = bytearray(4096)
    struct.pack_into("<III", block, 0, 0xA92B4EFC, 1, 0)
    block[16:32] = bytes(range(1, 17))
    block[32:38] = b"host:0"
    struct.pack_into("<Q", block, 144, offset // 512)           # super_offset, which blkid checks
    struct.pack_into("<II", block, 80, size // 512, 0)
    total = sum(struct.unpack_from("<64I", block))              # checksum over 256 bytes (no device roles)
    struct.pack_into("<I", block, 216, (total + (total >> 32)) & 0xFFFFFFFF)
    with open(str(path), "r+b") as file:
        file.seek(offset)
        file.write(block)
    assert_as_blkid(path, "md")


@pytest.mark.parametrize("order", ["<", ">"])
def test_md_superblock_090(tmp_path, order):
    size = 64 * MIB + 12 * 1024
    path = sparse(tmp_path / "volume", size)
    words = [0] * 1024
    words[0:3] = [0xA92B4EFC, 0, 90]
    words[5], words[13:16] = 0x11223344, [0x55667788, 0x99AABBCC, 0xDDEEFF00]
    words[8] = 64 * 1024 - 64                                   # size of a device in KiB
    with open(str(path), "r+b") as file:
        file.seek(size // 65536 * 65536 - 65536)
        file.write(struct.pack(order + "1024I", *words))
    found = probe(path)
    assert (found.kind, found.uuid) == ("md", "11223344-5566-7788-99aa-bbccddeeff00")
    theirs = blkid(path)
    if theirs:    # blkid also checks a checksum for one byte order
        assert theirs["UUID"] == found.uuid


def test_hibernated_swap_says_so(tmp_path):
    if shutil.which("mkswap") is None:
        pytest.skip("no mkswap on this machine")
    path = sparse(tmp_path / "volume", 16 * MIB)
    subprocess.run(["mkswap", "-q", "-L", "s", str(path)], stdin=subprocess.DEVNULL, check=True)
    before = probe(path)
    with open(str(path), "r+b") as file:
        file.seek(4086)
        file.write(b"S1SUSPEND\0")
    after, theirs = probe(path), blkid(path)
    assert theirs["TYPE"] == "swsuspend" and theirs["UUID"] == after.uuid
    assert after.kind == "swap" and "hibernated" in after.note
    assert (after.uuid, after.label) == (before.uuid, before.label)


def test_two_signatures_are_not_believed(tmp_path):
    if shutil.which("mkfs.xfs") is None:
        pytest.skip("no mkfs.xfs on this machine")
    path = sparse(tmp_path / "volume", 320 * MIB)
    subprocess.run(["mkfs.ext4", "-q", str(path)], stdin=subprocess.DEVNULL, check=True)
    with open(str(path), "r+b") as file:
        file.seek(4086)
        file.write(b"SWAPSPACE2")
    found = probe(path)
    assert found.kind == "unknown" and "ext4" in found.note and "swap" in found.note


def test_zero_and_random_bytes(tmp_path):
    path = sparse(tmp_path / "volume", 2 * MIB)
    assert probe(path).kind == "empty"
    with open(str(path), "r+b") as file:
        file.write(os.urandom(2 * MIB))
    assert probe(path).kind == "unknown"
