# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

r"""A new EFI system partition as bytes: FAT32 with one program, \EFI\BOOT\BOOTX64.EFI.

That is where all firmware looks that knows no boot entries (UEFI specification 2.10, section 3.5.1.1); FAT32 is what it must read (section
13.3.1). mkfs.vfat and mtools work on a file of their own, never on the disk.
"""

# The library knows no AnsibleModule, whose run_command the rule asks for.
# pylint: disable=ansible-bad-function

import os
import shutil
import subprocess
import tempfile
import zlib

from ...errors import TargetError
from ...machine.firmware import ADDED_LABEL

MIB = 1 << 20
# FAT32 has at least 65525 clusters (Microsoft FAT specification 1.03); with the smallest clusters, of one sector, that takes 33 MiB and
# 257 MiB.
SIZES = {512: 64 * MIB, 4096: 264 * MIB}
TOOLS = {"mkfs.vfat": "dosfstools", "mmd": "mtools", "mcopy": "mtools"}


def make_system_partition(program: bytes, start: int, sector_size: int, identity: str) -> bytes:
    """The file system of the partition that begins at byte `start`, all of it; `identity` tells it from others.

    Raises TargetError.
    """
    lacking = [name for name in TOOLS if not shutil.which(name)]
    if lacking:
        raise TargetError(f"{lacking[0]} is not installed on the worker (package {TOOLS[lacking[0]]}).")
    with tempfile.TemporaryDirectory(prefix="agnostic-recovery-") as scratch:
        image, loader = os.path.join(scratch, "esp.raw"), os.path.join(scratch, "loader.efi")
        with open(loader, "wb") as stream:
            stream.write(program)
        with open(image, "wb") as stream:
            stream.truncate(SIZES[sector_size])
        serial = f"{zlib.crc32(identity.encode('utf-8')) & 0xFFFFFFFF:08x}"
        _run(["mkfs.vfat", "-F", "32", "-S", str(sector_size), "-s", "1", "-h", str(start // sector_size), "-n", ADDED_LABEL, "-i", serial,
              image])
        _run(["mmd", "-i", image, "::/EFI", "::/EFI/BOOT"])
        _run(["mcopy", "-i", image, loader, "::/EFI/BOOT/BOOTX64.EFI"])
        with open(image, "rb") as stream:
            return stream.read()


def _run(command):
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "MTOOLSRC": os.devnull, "MTOOLS_SKIP_CHECK": "1"}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment,
                          check=False)
    if done.returncode:
        reason = " ".join(done.stderr.decode("utf-8", "replace").split())[-300:]
        raise TargetError(f"{command[0]} could not make an EFI system partition: {reason or 'no reason given'}.")
