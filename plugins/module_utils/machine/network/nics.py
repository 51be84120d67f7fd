# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The network interfaces that a root configures, whatever tool it configures them with."""

from .bindings import read_bindings
from .ifcfg import read_ifcfg
from .ifupdown import read_ifupdown
from .netplan import read_netplan
from .networkd import read_networkd
from .networkmanager import read_networkmanager

READERS = (read_ifupdown, read_netplan, read_networkd, read_networkmanager, read_ifcfg)


def read_nics(tree, warn=lambda text: None):
    """A tuple of `Nic`, one for each interface and tool that configures it.

    Where a udev rule or .link file binds a name to a MAC address, the interface carries both. `warn(text)` is told what could not
    be read.
    """
    found = [nic for read in READERS for nic in read(tree, warn)]
    macs, names = {}, {}
    for binding in read_bindings(tree, warn):
        macs.setdefault(binding.name, binding.mac)
        names.setdefault(binding.mac, binding.name)
    complete = []
    for nic in found:
        if not nic.mac and nic.name in macs:
            nic = nic._replace(mac=macs[nic.name])
        if not nic.name and nic.mac in names:
            nic = nic._replace(name=names[nic.mac])
        complete.append(nic)
    return tuple(complete)
