# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NICs, addresses and places of files that the tests of network fix-ups share, and what is planned for them."""

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux.network import fixup
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.situation import MappedAddress, NetworkOptions, TargetNic

OLD = "52:54:00:aa:00:01"
NEW = "52:54:00:bb:00:02"
NEW2 = "52:54:00:bb:00:03"
NICS = (TargetNic(NEW), TargetNic(NEW2))
MAPPINGS = (
    MappedAddress("192.0.2.10", "198.51.100.7/25", "198.51.100.1", ("198.51.100.2", "198.51.100.3")),
    MappedAddress("2001:db8::10", "2001:db8:1::7/64", "2001:db8:1::1"),
)
DHCP = NetworkOptions("dhcp", NICS)
MAPPED = NetworkOptions("mapped", NICS, MAPPINGS)
LINK = "/etc/systemd/network/00-agnostic-recovery-{}.link"
NETPLAN = "/etc/netplan/01-lan.yaml"
KEYFILE = "/etc/NetworkManager/system-connections/lan.nmconnection"
RED_HAT = "/etc/sysconfig/network-scripts/"
SUSE = "/etc/sysconfig/network/"


def planned(machine, network=NetworkOptions()):
    draft = Draft(machine.tree)
    fixup.plan(machine.inspect(network=network), draft)
    return draft


def after(machine, path, before, network=NetworkOptions()):
    """The planned content of a file."""
    machine.write(path, before)
    return planned(machine, network).read_text(path)


def texts(draft, severity):
    return [finding.text for finding in draft.findings if finding.severity == severity]
