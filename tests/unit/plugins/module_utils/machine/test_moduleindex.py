# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The index of modules: read back by a reader of its own here, and by kmod where the machine has it."""

import random
import shutil
import struct
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.machine import moduleindex


def lookup(data, key):
    """As libkmod does it: from the root's offset, by prefix and child."""
    magic, version, offset = struct.unpack_from(">III", data)
    assert (magic, version) == (0xB007F457, 0x00020001)
    rest = key.encode()
    while offset:
        at = offset & 0x0FFFFFFF
        if offset & 0x80000000:
            end = data.index(b"\0", at)
            if not rest.startswith(data[at:end]):
                return None
            rest, at = rest[end - at:], end + 1
        first, last, children = 0x80, 0, ()
        if offset & 0x20000000:
            first, last = data[at], data[at + 1]
            children = struct.unpack_from(">%dI" % (last - first + 1), data, at + 2)
            at += 2 + 4 * len(children)
        if not rest:
            if not offset & 0x40000000:
                return None
            assert struct.unpack_from(">I", data, at)[0] == 1
            return data[at + 8:data.index(b"\0", at + 8)].decode()
        if not first <= rest[0] <= last:
            return None
        offset, rest = children[rest[0] - first], rest[1:]
    return None


def test_every_key_is_found_and_no_other():
    source = random.Random(3)
    names = {"".join(source.choice("ab_z1") for _letter in range(source.randint(1, 9))) for _name in range(400)}
    values = {name: f"kernel/{name}.ko: kernel/b.ko" for name in sorted(names)}
    data = moduleindex.pack(values)
    assert {name: lookup(data, name) for name in names} == values
    for name in ("q", "zzzzzzzzzzzz", "a" * 12):
        assert lookup(data, name) is None


def test_an_empty_index():
    assert lookup(moduleindex.pack({}), "virtio") is None


def test_only_ascii():
    with pytest.raises(ValueError):
        moduleindex.pack({"a": "kernel/\udcff.ko:"})


def test_renamed():
    text, lines = moduleindex.renamed("k/virtio-pci.ko.xz: k/virtio.ko.xz\nk/virtio.ko.xz:\nbroken\n", lambda path: path[:-3])
    assert text == "k/virtio-pci.ko: k/virtio.ko\nk/virtio.ko:\n"
    assert lines == {"virtio_pci": "k/virtio-pci.ko: k/virtio.ko", "virtio": "k/virtio.ko:"}


def test_kmod_reads_it(tmp_path):
    program = shutil.which("modprobe", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None or "kmod" not in subprocess.run([program, "--version"], stdout=subprocess.PIPE, check=False).stdout.decode():
        pytest.skip("kmod is not installed")
    home = tmp_path / "lib/modules/6.1"
    (home / "k/b").mkdir(parents=True)
    for name in ("k/virtio.ko", "k/b/virtio-pci.ko"):
        (home / name).write_bytes(b"")
    text, lines = moduleindex.renamed("k/b/virtio-pci.ko.xz: k/virtio.ko.xz\nk/virtio.ko.xz:\n", lambda path: path[:-3])
    (home / "modules.dep").write_text(text)
    (home / "modules.dep.bin").write_bytes(moduleindex.pack(lines))
    for name in ("modules.alias.bin", "modules.symbols.bin", "modules.builtin.alias.bin", "modules.builtin.bin"):
        (home / name).write_bytes(moduleindex.pack({}))
    shown = subprocess.run(
        [program, "-d", str(tmp_path), "-S", "6.1", "--show-depends", "virtio_pci"], stdout=subprocess.PIPE, check=True
    ).stdout.decode()
    assert [line.split()[1] for line in shown.splitlines()] == [f"{home}/k/virtio.ko", f"{home}/k/b/virtio-pci.ko"]
