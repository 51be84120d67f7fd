# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Devices that a dracut initramfs of one host waits for by a name that depends on the old hardware.

`dracut --hostonly` notes the devices below the root (physical volumes, members of arrays, encrypted partitions) by /dev/disk/by-id or
by-path, where they have no better name. Its loop then never ends on other hardware, and the machine stops in the emergency shell after
some minutes although its root is there. Source: dracut modules.d/99base, module-setup.sh and wait_for_dev in dracut-dev-lib.sh:
    lib/dracut/hooks/initqueue/finished/devexists-NAME.sh     [ -e "DEVICE" ], sourced in a shell until it succeeds
    etc/systemd/system/UNIT.device.d/timeout.conf             a drop-in for the device's unit, 0: without end
The root device itself is waited for by what root= on the kernel command line says, so nothing is lost.
"""

import re

from typing import Dict

from ...machine.initramfs import Initramfs
from .names import Names

_WAIT = re.compile(r'(?m)^[ \t]*\[ -e "(?P<device>/dev/[^"]+)" \]')
# Names in by-id that come from what is on the disk and not from the hardware (systemd rules.d/60-persistent-storage-dm.rules and others).
_LASTING = re.compile(r"/dev/disk/by-id/(?:dm-|md-|lvm-pv-)")

NO_WAIT = b"# The device that was waited for here has another name on the hardware of the recovery target.\n:\n"
SHORT = b"[Unit]\nJobTimeoutSec=1\nJobRunningTimeoutSec=1\n"


def changed(archive: Initramfs, names: Names) -> Dict[str, bytes]:
    """Files of the initramfs, by path, that no longer wait for such a device."""
    found = {}
    for path, entry in archive.entries.items():
        if not _is_wait(path) or entry.data is None:
            continue
        devices = [match.group("device") for match in _WAIT.finditer(entry.data.decode("utf-8", "surrogateescape"))]
        bound = [device for device in devices if names.is_bound(device) and not _LASTING.match(device)]
        if not bound:
            continue
        found[path] = NO_WAIT
        for device in bound:
            unit = archive.entries.get(f"etc/systemd/system/{unit_name(device)}.device.d/timeout.conf")
            if unit is not None and unit.data != SHORT:
                found[f"etc/systemd/system/{unit_name(device)}.device.d/timeout.conf"] = SHORT
    return found


def unit_name(device: str) -> str:
    """systemd.unit(5), "String Escaping for Inclusion in Unit Names", for a path."""
    return "".join(
        "-" if letter == "/" else letter if re.match(r"[A-Za-z0-9:_.]", letter) else "".join(
            "\\x%02x" % byte for byte in letter.encode("utf-8", "surrogateescape"))
        for letter in device.strip("/")
    )


def _is_wait(path):
    return "/initqueue/finished/devexists-" in path or path.startswith("initqueue-finished/devexists-")
