#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: openstack_hardware_info
short_description: Tells how a machine's hardware is said in OpenStack
version_added: 1.1.0
description:
  - Chooses the flavour that holds a recovered machine and gives the least more than it needs.
  - Tells the properties of an image, or the image metadata of a volume, by which Nova builds the hardware that the machine was fitted to.
author:
  - the agnostic.recovery developers (@agnostic-recovery)
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.read_only
  - agnostic.recovery.openstack_cloud
options:
  flavor:
    description: Name or id of the flavour, where none is to be chosen.
    type: str
    default: ''
  flavors:
    description:
      - Shell patterns for the names of flavours among which one is chosen.
      - Flavours that hand out devices of the host (C(pci_passthrough:), C(resources:), C(accel:)) are never chosen.
    type: list
    elements: str
    default: ['*']
  cpus:
    description: Processors that the machine needs at least.
    type: int
    default: 1
  memory:
    description: Memory in MiB that the machine needs at least.
    type: int
    default: 1024
  disk:
    description:
      - GiB of the disk that the flavour must give, for a machine that boots from an image.
      - V(0) for one that boots from a volume.
    type: int
    default: 0
  firmware:
    description: Firmware of the machine.
    type: str
    choices: [bios, uefi]
    required: true
  disk_bus:
    description: How the machine sees its disks.
    type: str
    choices: [virtio-blk, virtio-scsi, ahci, ide]
    default: virtio-blk
  nic:
    description: How the machine sees its network card.
    type: str
    choices: [virtio-net, e1000, e1000e, rtl8139, vmxnet3]
    default: virtio-net
  machine:
    description: Machine type. By default the cloud's own, and V(q35) with O(firmware=uefi).
    type: str
    choices: ['', pc, q35]
    default: ''
"""

EXAMPLES = r"""
- name: Find the size and the properties
  agnostic.recovery.openstack_hardware_info:
    cloud: recovery
    flavors: ["general.*"]
    cpus: 2
    memory: 4096
    firmware: uefi
    disk_bus: virtio-scsi
  register: hardware

- name: Say it on the volume from which the machine boots
  openstack.cloud.volume_image_metadata:
    cloud: recovery
    volume: drill-20261122T010203Z-4f2a-shop-sda
    image_metadata: "{{ hardware.properties }}"
"""

RETURN = r"""
flavor:
  description: The flavour.
  returned: success
  type: dict
  contains:
    id:
      description: Its id.
      type: str
    name:
      description: Its name.
      type: str
      sample: general.2x4
    vcpus:
      description: Processors.
      type: int
    ram:
      description: Memory in MiB.
      type: int
    disk:
      description: GiB of its root disk; 0 where it is for servers that boot from a volume.
      type: int
properties:
  description: Properties of the image, or image metadata of the boot volume.
  returned: success
  type: dict
  sample: {hw_disk_bus: scsi, hw_scsi_model: virtio-scsi, hw_vif_model: virtio, hw_firmware_type: uefi, hw_machine_type: q35}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError, TargetError
from ..module_utils.target.openstack_cloud import connection
from ..module_utils.target.openstack_hardware import (
    DISK_BUSES, FIRMWARES, MACHINE_TYPES, NIC_MODELS, Flavor, Need, check_flavor, choose_flavor, hardware_properties,
)


def read_flavor(found):
    """A Flavor from one of openstacksdk."""
    return Flavor(found.id, found.name, found.vcpus, found.ram, found.disk or 0, tuple(sorted(found.extra_specs or ())))


def find_flavor(connected, parameters):
    need = Need(parameters["cpus"], parameters["memory"], parameters["disk"])
    if not parameters["flavor"]:
        return choose_flavor([read_flavor(found) for found in connected.compute.flavors()], need, parameters["flavors"])
    found = connected.compute.find_flavor(parameters["flavor"])
    if found is None:
        raise TargetError(f"There is no flavour {parameters['flavor']!r} in this cloud.")
    flavor = read_flavor(found)
    check_flavor(flavor, need)
    return flavor


def main():
    module = AnsibleModule(
        argument_spec=dict(
            cloud=dict(type="str", default=""),
            flavor=dict(type="str", default=""),
            flavors=dict(type="list", elements="str", default=["*"]),
            cpus=dict(type="int", default=1),
            memory=dict(type="int", default=1024),
            disk=dict(type="int", default=0),
            firmware=dict(type="str", choices=list(FIRMWARES), required=True),
            disk_bus=dict(type="str", choices=list(DISK_BUSES), default="virtio-blk"),
            nic=dict(type="str", choices=list(NIC_MODELS), default="virtio-net"),
            machine=dict(type="str", choices=[""] + list(MACHINE_TYPES), default=""),
        ),
        supports_check_mode=True,
    )
    asked = module.params
    try:
        properties = hardware_properties(asked["firmware"], asked["disk_bus"], asked["nic"], asked["machine"])
        with connection(asked["cloud"]) as connected:
            flavor = find_flavor(connected, asked)
    except RecoveryError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, properties=properties, flavor={
        name: value for name, value in flavor._asdict().items() if name != "extra_specs"})


if __name__ == "__main__":
    main()
