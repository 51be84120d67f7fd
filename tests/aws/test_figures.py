# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast disks go into an emulated AWS, and in how much memory: figures of this machine and this emulation, not of AWS."""

import json
import os
import subprocess
import sys

import pytest
from emulated_aws import emulated_aws

HERE = os.path.dirname(os.path.abspath(__file__))
MIB = 1 << 20


@pytest.mark.parametrize("size, data", [(1 << 30, 256), (64 << 30, 1024)])
def test_a_put_needs_little_memory_however_large_the_disk(tmp_path, size, data):
    """`data`: MiB that are written, in the middle of the disk."""
    disk = str(tmp_path / "disk")
    with open(disk, "wb") as file:
        file.truncate(size)
        file.seek(size // 2)
        for _number in range(data):
            file.write(os.urandom(MIB))
    with emulated_aws(os.environ["AGNOSTIC_RECOVERY_MOTO"], str(tmp_path / "cloud")) as cloud:
        wish = dict(cloud.place, state="present", name="figures", path=disk, puts_per_second=0)
        done = subprocess.run([sys.executable, os.path.join(HERE, "put_figures.py"), json.dumps(wish)], stdout=subprocess.PIPE, check=True)
    figures = json.loads(done.stdout)
    rate = figures["blocks"] / 2 / figures["seconds"]
    print(f"\nput: {figures['blocks']} blocks of a disk of {size >> 30} GiB in {figures['seconds']:.1f} s, {rate:.0f} MiB/s; "
          f"peak memory {figures['peak_mib']:.0f} MiB")
    assert figures["blocks"] == 2 * data
    assert figures["peak_mib"] < 160
