#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: libvirt_domain_info
short_description: Tells how a recovered machine is said to libvirt
version_added: 1.1.0
description:
  - Makes the XML of a domain that has the hardware that the machine was fitted to. C(community.libvirt.virt) defines and starts it.
  - KVM is used only where a trial start of a small guest shows that it works on this host, else QEMU emulates the processor.
  - Tells also whether a network of libvirt leads out, which one for a drill must not.
author:
  - the agnostic.recovery developers (@agnostic-recovery)
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.read_only
options:
  name:
    description: Name of the domain.
    type: str
    required: true
  description:
    description: What people read of it.
    type: str
    default: ''
  disks:
    description: Paths of its disks in boot order, raw files or block devices.
    type: list
    elements: path
    required: true
  disk_bus:
    description: How it sees its disks.
    type: str
    choices: [ahci, ide, lsi, megasas, mptsas, pvscsi, virtio-blk, virtio-scsi]
    default: virtio-scsi
  nic:
    description: How it sees its network card.
    type: str
    choices: [e1000, e1000e, rtl8139, virtio-net, vmxnet3]
    default: virtio-net
  mac:
    description: MAC address of the card.
    type: str
    required: true
  network:
    description: The network of libvirt in which it is. Either this or O(bridge).
    type: str
    default: ''
  network_xml:
    description: The XML of that network, of which RV(leads_out) is told.
    type: str
    default: ''
  bridge:
    description: The bridge of the host to which it is connected.
    type: str
    default: ''
  firmware:
    description: Its firmware.
    type: str
    choices: [bios, uefi]
    default: bios
  machine:
    description: Its chipset.
    type: str
    choices: [pc, q35]
    default: q35
  memory:
    description: Memory in MiB.
    type: int
    default: 1024
  cpus:
    description: Processors.
    type: int
    default: 2
  accel:
    description: V(auto) takes KVM where it works.
    type: str
    choices: [auto, kvm, tcg]
    default: auto
  console:
    description: File that gets what the first serial port says, an absolute path.
    type: path
    required: true
seealso:
  - module: agnostic.recovery.qemu_guest
"""

EXAMPLES = r"""
- name: How is the shop said to libvirt?
  agnostic.recovery.libvirt_domain_info:
    name: shop
    disks: [/var/lib/recovery/shop/sda.raw]
    mac: 52:54:00:12:34:56
    bridge: br0
    console: /var/lib/recovery/shop/console.log
  register: said

- name: Define it
  community.libvirt.virt:
    command: define
    xml: "{{ said.xml }}"
"""

RETURN = r"""
xml:
  description: The XML of the domain.
  returned: success
  type: str
accel:
  description: V(kvm) or V(tcg).
  returned: success
  type: str
leads_out:
  description: Whether the network of O(network_xml) leads anywhere but to its host.
  returned: when O(network_xml) is given
  type: bool
"""

import os
import stat

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.target import qemu_probe
from ..module_utils.target.libvirt_domain import BUSES, NICS, Domain, domain_xml, network_leads_out
from ..module_utils.target.qemu_command import ACCELERATORS, FIRMWARES, MACHINE_TYPES


def main():
    module = AnsibleModule(
        argument_spec=dict(
            name=dict(type="str", required=True),
            description=dict(type="str", default=""),
            disks=dict(type="list", elements="path", required=True),
            disk_bus=dict(type="str", choices=sorted(BUSES), default="virtio-scsi"),
            nic=dict(type="str", choices=sorted(NICS), default="virtio-net"),
            mac=dict(type="str", required=True),
            network=dict(type="str", default=""),
            network_xml=dict(type="str", default=""),
            bridge=dict(type="str", default=""),
            firmware=dict(type="str", choices=list(FIRMWARES), default="bios"),
            machine=dict(type="str", choices=list(MACHINE_TYPES), default="q35"),
            memory=dict(type="int", default=1024),
            cpus=dict(type="int", default=2),
            accel=dict(type="str", choices=list(ACCELERATORS), default="auto"),
            console=dict(type="path", required=True),
        ),
        supports_check_mode=True,
    )
    options = dict(module.params)
    network_xml, accel = options.pop("network_xml"), options.pop("accel")
    try:
        kvm = qemu_probe.abilities().kvm if accel == "auto" else accel == "kvm"
        disks = tuple(options.pop("disks"))
        xml = domain_xml(Domain(disks=disks, kvm=kvm, **options), tuple(path for path in disks if _is_block_device(path)))
        result = {"xml": xml, "accel": "kvm" if kvm else "tcg"}
        if network_xml:
            result["leads_out"] = network_leads_out(network_xml)
    except (RecoveryError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


def _is_block_device(path):
    return stat.S_ISBLK(os.stat(path).st_mode)


if __name__ == "__main__":
    main()
