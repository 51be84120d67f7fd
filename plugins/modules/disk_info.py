#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: disk_info
short_description: Tell which disks of a running host make up the machine
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Lists the disks of a running Linux host, says which of them M(agnostic.recovery.image_capture) captures by default, and why the others
    are left out. No disk is read.
  - Taken are the disks under everything that is mounted or used as swap, with all members of their LVM volume groups, MD arrays and
    btrfs file systems. Of a multipath device, the device is taken and not its paths.
  - Removable disks, storage that a cloud empties when it moves the machine, read-only media, loop devices, disks in memory and optical
    drives are left out, unless the root file system needs them.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.read_only
options:
  exclude:
    description: Patterns of what is not part of the machine, as of M(agnostic.recovery.image_capture).
    type: list
    elements: str
    default: []
requirements:
  - lvm2, where the host uses LVM
seealso:
  - module: agnostic.recovery.image_capture
"""

EXAMPLES = r"""
- name: What would be captured?
  agnostic.recovery.disk_info:
    exclude: [/srv/scratch]
  become: true
  register: disks

- name: Show it
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ 'captured' if item.taken else 'left out' }}, {{ item.reason }}"
  loop: "{{ disks.disks }}"
"""

RETURN = r"""
disks:
  description: All disks of the host that have a size.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The kernel's name of the disk, or the name of a multipath device.
      type: str
      sample: sda
    path:
      description: Where it is read.
      type: str
      sample: /dev/sda
    by_id:
      description: A name in C(/dev/disk/by-id), or empty.
      type: str
      sample: /dev/disk/by-id/ata-QEMU_HARDDISK_QM00001
    serial:
      description: Serial number, or empty.
      type: str
      sample: QM00001
    model:
      description: Model, or empty.
      type: str
      sample: QEMU HARDDISK
    size:
      description: Bytes of the disk.
      type: int
      sample: 8589934592
    sector_size:
      description: Logical sector size in bytes.
      type: int
      sample: 512
    taken:
      description: Whether it is part of the machine.
      type: bool
    reason:
      description: Why it is taken or left out.
      type: str
      sample: holds /, /boot, swap
    uses:
      description: Mount points on it, and V(swap).
      type: list
      elements: str
      sample: [/, /boot, swap]
    excluded:
      description: Whether it is left out because O(exclude) says so.
      type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.machine.data import to_data
from ..module_utils.source.selection import left_out_in_use, select_disks


def main():
    module = AnsibleModule(
        argument_spec=dict(exclude=dict(type="list", elements="str", default=[])),
        supports_check_mode=True,
    )
    try:
        disks = select_disks(module.params["exclude"])
    except RecoveryError as error:
        module.fail_json(msg=str(error), error_type=type(error).__name__)
    for sentence in left_out_in_use(disks):
        module.warn(sentence)
    module.exit_json(changed=False, disks=to_data(disks))


if __name__ == "__main__":
    main()
