# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random partition tables made by sfdisk, compared with what `sfdisk --json` reads back; 4096-byte sectors by a loop device."""

import json
import os
import random
import shutil
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.machine.partitions import read_partition_table

SIZE = 512 * 1024 * 1024
EXTENDED = ("5", "f", "85")

pytestmark = pytest.mark.skipif(shutil.which("sfdisk") is None, reason="no sfdisk on this machine")


@pytest.fixture
def disk(tmp_path, sector_size):
    """(file, what sfdisk works on) of an empty disk."""
    path = str(tmp_path / "disk")
    with open(path, "wb") as file:
        file.truncate(SIZE)
    if sector_size == 512:
        yield path, path
        return
    command = ["losetup", "--find", "--show", "--sector-size", str(sector_size), path]
    made = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if made.returncode:
        pytest.skip("no loop device with another sector size on this machine: " + made.stderr.decode().strip())
    device = made.stdout.decode().strip()
    try:
        yield path, device
    finally:
        subprocess.run(["losetup", "--detach", device], stdin=subprocess.DEVNULL, check=True)


def sfdisk(arguments, target, script=None):
    done = subprocess.run(["sfdisk"] + arguments + [target], input=(script or "").encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)
    assert done.returncode == 0, (script, done.stderr.decode())
    return done.stdout


def random_gpt(dice, sector_size):
    lines = ["label: gpt"]
    mib = 1024 * 1024 // sector_size
    position = mib
    for number in sorted(dice.sample(range(1, 20), dice.randint(0, 8))):
        size = dice.randint(1, 40) * mib // 2
        kind = dice.choice(["L", "U", "S", "21686148-6449-6E6F-744E-656564454649"])
        flags = ", bootable" if dice.random() < 0.3 else ""
        name = dice.choice(["", ', name="EFI System"', ', name="d\u00e4ta"'])
        lines.append(f"{number} : start={position}, size={size}, type={kind}{name}{flags}")
        position += size + dice.randint(0, 3) * mib
    return "\n".join(lines) + "\n"


def random_mbr(dice, sector_size):
    lines = ["label: dos", f"label-id: 0x{dice.randint(1, 2 ** 32 - 1):08x}"]
    mib = 1024 * 1024 // sector_size
    position = mib
    numbers = sorted(dice.sample(range(1, 5), dice.randint(1, 4)))
    extended = dice.choice(numbers + [None])
    logical = []
    for number in numbers:
        size = dice.randint(40, 100) * mib
        kind = dice.choice(["83", "82", "7", "c", "8e"]) if number != extended else dice.choice(EXTENDED)
        flags = ", bootable" if dice.random() < 0.3 and number != extended else ""
        lines.append(f"{number} : start={position}, size={size}, type={kind}{flags}")
        if number == extended:
            inside = position + mib
            for index in range(dice.randint(0, 6)):
                length = dice.randint(1, 4) * mib
                logical.append(f"{5 + index} : start={inside}, size={length}, type=83")
                inside += length + mib * dice.randint(1, 2)
        position += size + dice.randint(0, 3) * mib
    return "\n".join(lines + logical) + "\n"


@pytest.mark.parametrize("sector_size", [512, 4096])
@pytest.mark.parametrize("make", [random_gpt, random_mbr])
@pytest.mark.parametrize("seed", range(12))
def test_as_sfdisk_reads_it(disk, make, sector_size, seed):
    path, target = disk
    script = make(random.Random(seed), sector_size)
    sfdisk(["--quiet", "--no-reread", "--no-tell-kernel"], target, script)
    theirs = json.loads(sfdisk(["--json"], target).decode())["partitiontable"]
    with open(path, "rb") as file:
        ours = read_partition_table(lambda offset, length: os.pread(file.fileno(), length, offset), SIZE, sector_size)
    assert ours.notes == ()
    assert ours.table == {"dos": "mbr"}.get(theirs["label"], theirs["label"])
    assert ours.uuid == theirs["id"].lower().replace("0x", "")
    expected = []
    for entry in theirs.get("partitions", []):
        if ours.table == "mbr" and entry["type"] in EXTENDED:
            continue
        number = int(entry["node"][len(target):].lstrip("p"))
        start, size = entry["start"] * sector_size, entry["size"] * sector_size
        if ours.table == "gpt":
            bootable = "LegacyBIOSBootable" in entry.get("attrs", "")
            expected.append((number, start, size, entry["type"].lower(), entry["uuid"].lower(), entry.get("name", ""), bootable))
        else:
            kind = f"0x{int(entry['type'], 16):02x}"
            expected.append((number, start, size, kind, f"{ours.uuid}-{number:02x}", "", entry.get("bootable", False)))
    assert [tuple(partition)[:7] for partition in ours.partitions] == sorted(expected)
