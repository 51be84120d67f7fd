# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading initramfs files as the kernel does."""

import bz2
import gzip
import io
import lzma
import random
import shutil
import stat
import struct
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import MachineError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine import initramfs
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.cpio import pack_archive
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree

DIRECTORY = stat.S_IFDIR | 0o755
FILE = stat.S_IFREG | 0o644
LINK = stat.S_IFLNK | 0o777

BASE = [("usr", DIRECTORY, b""), ("usr/lib", DIRECTORY, b""), ("lib", LINK, b"usr/lib"), ("usr/lib/modules", DIRECTORY, b"")]


def parse(data, wanted=None, **more):
    return initramfs.parse_initramfs(io.BytesIO(data), "test.img", wanted, **more)


def entry(path, mode, content, nlink, inode):
    """One newc entry with a free choice of link count and inode."""
    name = path.encode() + b"\0"
    head = b"070701" + b"".join(b"%08X" % number for number in (inode, mode, 0, 0, nlink, 0, len(content), 0, 0, 0, 0, len(name), 0)) + name
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


TRAILER = entry("TRAILER!!!", 0, b"", 1, 0)


def test_links_in_the_path_are_followed():
    found = parse(pack_archive(BASE + [("lib/modules/6.1", DIRECTORY, b""), ("lib/modules/6.1/a-b.ko.xz", FILE, b"x")]))
    assert found.entries["lib"].link == "usr/lib"
    assert "usr/lib/modules/6.1/a-b.ko.xz" in found.entries
    assert found.modules("6.1") == {"a_b": "usr/lib/modules/6.1/a-b.ko.xz"}
    assert found.modules("6.2") == {}
    assert found.resolve("/lib/modules/6.1") == "usr/lib/modules/6.1"
    assert found.resolve("lib/nothing") == "usr/lib/nothing"
    assert found.resolve("lib/nothing/more") == ""


def test_an_entry_without_its_folder_is_lost():
    found = parse(pack_archive([("lib/modules/x.ko", FILE, b"x"), ("y", FILE, b"")]))
    assert "lib/modules/x.ko" not in found.entries and "y" in found.entries


def test_a_folder_entry_replaces_a_link():
    found = parse(pack_archive(BASE) + pack_archive([("lib", DIRECTORY, b""), ("lib/new", FILE, b"")]))
    assert stat.S_ISDIR(found.entries["lib"].mode)
    assert "lib/new" in found.entries and "usr/lib/new" not in found.entries


def test_a_link_does_not_replace_a_folder_that_is_not_empty():
    found = parse(pack_archive([("lib", DIRECTORY, b""), ("lib/a", FILE, b"")]) + pack_archive([("lib", LINK, b"usr/lib")]))
    assert stat.S_ISDIR(found.entries["lib"].mode)


def test_later_archives_replace_earlier_ones():
    data = pack_archive([("conf", FILE, b"old")]) + gzip.compress(pack_archive([("conf", FILE, b"new!")]))
    found = parse(data, lambda path: path == "conf")
    assert found.entries["conf"].data == b"new!"
    assert [segment.compression for segment in found.segments] == ["", "gzip"]
    assert (
        found.segments[1].offset == found.segments[0].length
        and found.segments[1].offset + found.segments[1].length == len(data) == found.size
    )


def test_content_only_of_what_is_wanted():
    found = parse(pack_archive([("a", FILE, b"1"), ("b", FILE, b"22")]), lambda path: path == "b")
    assert found.entries["a"].data is None and found.entries["a"].size == 1
    assert found.entries["b"].data == b"22"


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        lambda data: lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32),
        lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    ],
    ids=["gzip", "bzip2", "xz", "lzma"],
)
def test_compressed(pack):
    noise = random.Random(4).getrandbits(8 * 700000).to_bytes(700000, "little")
    inner = pack_archive(BASE + [("noise", FILE, noise), ("behind", FILE, b"x")]) + bytes(512) + pack_archive([("second", FILE, b"")])
    data = pack_archive([("early", FILE, b"microcode")]) + bytes(4096) + pack(inner) + bytes(7)
    data += bytes(-len(data) % 4) + pack_archive([("last", FILE, b"")])
    found = parse(data, lambda path: path == "noise")
    assert found.entries["noise"].data == noise
    assert {"early", "behind", "second", "last"} <= set(found.entries)
    assert len(found.segments) == 3


@pytest.mark.parametrize("program", [["zstd", "-q", "-19"], ["lz4", "-l", "-q"]], ids=["zstd", "lz4"])
def test_compressed_by_programs(program):
    if shutil.which(program[0]) is None:
        pytest.skip(f"the program {program[0]} is not installed")
    noise = random.Random(5).getrandbits(8 * 9000000).to_bytes(9000000, "little") + bytes(9000000)
    inner = pack_archive(BASE + [("noise", FILE, noise), ("behind", FILE, b"x")])
    packed = subprocess.run(program + ["-c"], input=inner, stdout=subprocess.PIPE, check=True).stdout
    tail = pack_archive([("last", FILE, b"")])
    data = packed + bytes(4 + -len(packed) % 4) + tail
    try:
        found = parse(data, lambda path: path == "noise")
    except MachineError as error:
        if "Install the package" in str(error):
            pytest.skip(str(error))
        raise
    assert found.entries["noise"].data == noise
    assert {"behind", "last"} <= set(found.entries)
    assert found.segments[0].length in (len(packed), len(packed) + 4)


def test_lz4_of_literals():
    """A legacy frame that needs no compressor."""
    inner = pack_archive([("a", FILE, b"hello")])
    blocks = b"".join(
        struct.pack("<I", len(piece) + 1) + bytes([len(piece) << 4]) + piece
        for piece in (inner[at : at + 14] for at in range(0, len(inner), 14))
    )
    try:
        found = parse(b"\x02\x21\x4c\x18" + blocks, lambda path: True)
    except MachineError as error:
        pytest.skip(str(error))
    assert found.entries["a"].data == b"hello"


def test_hard_links_share_content():
    data = entry("a", FILE, b"", 2, 7) + entry("b", FILE, b"shared", 2, 7) + entry("c", FILE, b"own", 1, 7) + TRAILER
    found = parse(data, lambda path: True)
    assert found.entries["a"].data == found.entries["b"].data == b"shared"
    assert found.entries["a"].size == 6 and found.entries["c"].data == b"own"


def test_crc_form():
    found = parse(pack_archive([("a", FILE, b"x")]).replace(b"070701", b"070702"))
    assert "a" in found.entries


def test_bootconfig_at_the_end():
    text = b"kernel { root = none }\n\0"
    data = pack_archive([("a", FILE, b"")]) + text + struct.pack("<II", len(text), sum(text)) + b"#BOOTCONFIG\n"
    found = parse(data)
    assert found.bootconfig and "a" in found.entries
    assert not parse(pack_archive([("a", FILE, b"")])).bootconfig


GOOD = pack_archive(BASE + [("file", FILE, b"y" * 1000)])
BAD = {
    "empty": b"",
    "zeros": bytes(5000),
    "text": b"not an initramfs at all",
    "ext2 image": bytes(1080) + b"\x53\xef" + bytes(100),
    "cut plain": GOOD[:700],
    "cut header": GOOD[:-100],
    "no end mark": GOOD[:GOOD.index(b"07070100000000")],
    "cut gzip": gzip.compress(GOOD)[:-30],
    "damaged gzip": gzip.compress(GOOD)[:20] + b"\xff" * 40 + gzip.compress(GOOD)[60:],
    "damaged xz": lzma.compress(GOOD)[:40] + b"\0" * 20 + lzma.compress(GOOD)[60:],
    "gzip of no archive": gzip.compress(b"hello world, no archive in here"),
    "junk behind": GOOD + b"junk",
    "misaligned plain": gzip.compress(GOOD) + bytes(-len(gzip.compress(GOOD)) % 4 + 1) + GOOD,
    "lzo": b"\x89LZO" + bytes(50),
    "long name": entry("n" * 5000, FILE, b"", 1, 1) + TRAILER,
    "no numbers": b"070701" + b"zz" * 60,
    "negative number": GOOD[:14] + b"-0000001" + GOOD[22:],
    "number with a sign and a space": GOOD[:54] + b" +000005" + GOOD[62:],
    "too many": None,
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_damaged_and_foreign(name, monkeypatch):
    data = BAD[name]
    if data is None:
        monkeypatch.setattr(initramfs, "ENTRY_LIMIT", 3)
        data = GOOD
    with pytest.raises(MachineError, match="test.img"):
        parse(data)


def test_unpacked_size_is_bounded():
    bomb = gzip.compress(pack_archive([("zeros", FILE, bytes(5000000))]))
    assert len(bomb) < 10000
    with pytest.raises(MachineError, match="more bytes"):
        parse(bomb, limit=1000000)


def test_random_bytes_never_break_the_reader():
    random_source = random.Random(11)
    for _round in range(400):
        data = bytearray(GOOD if random_source.random() < 0.5 else gzip.compress(GOOD))
        for _change in range(random_source.randint(1, 6)):
            data[random_source.randrange(len(data))] = random_source.randrange(256)
        try:
            parse(bytes(data), lambda path: True)
        except MachineError:
            pass


@pytest.mark.parametrize("links", [[("a", LINK, b"b"), ("b", LINK, b"a")], [("a", LINK, b"a")], [("a", LINK, b"../../../..")]])
def test_circles_of_links_end(links):
    found = parse(pack_archive(links + [("a/x", FILE, b"")]))
    assert found.resolve("a/x/y") == "" or "x" in found.entries


def test_from_a_root(tmp_path):
    (tmp_path / "boot").mkdir()
    path = "usr/lib/modules/6.1/kernel/drivers"
    folders = ["usr/lib/modules/6.1", "usr/lib/modules/6.1/kernel", path, path + "/scsi", path + "/net"]
    data = pack_archive(
        BASE
        + [(name, DIRECTORY, b"") for name in folders]
        + [(path + "/scsi/virtio_scsi.ko.xz", FILE, b"x"), (path + "/net/e1000.ko", FILE, b"")]
    )
    (tmp_path / "boot/initrd.img-6.1").write_bytes(gzip.compress(data))
    (tmp_path / "initrd.img").symlink_to("boot/initrd.img-6.1")
    (tmp_path / "outside").symlink_to("/proc/self/environ")
    tree = Tree(str(tmp_path))
    assert initramfs.initramfs_drivers(tree, "/initrd.img") == ("virtio_scsi",)
    for bad in ("/outside", "/boot", "/absent"):
        with pytest.raises(MachineError):
            initramfs.initramfs_drivers(tree, bad)
