#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: recovery_mount
short_description: Assemble and mount the restored disks of a machine
version_added: 1.0.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Finds the root file system on restored disks and mounts it, with all that its C(/etc/fstab) mounts, at one folder of the worker.
  - Names in that C(fstab) are looked up on the given disks only, by the names that these disks had at the source; so C(/dev/sda2) is
    the machine's own. Disks of the worker are never touched, even where they have the same UUIDs.
  - Everything is mounted C(nosuid), C(nodev) and C(noexec). Symbolic links of the machine are never followed out of its root.
  - C(/boot), C(/boot/efi), C(/boot/firmware), C(/efi) and C(/usr) are mounted even if C(fstab) says C(noauto), and writable even if it
    says C(ro).
  - When V(unmounted) is reached, everything is on the disks and nothing is attached any more. It also cleans up where a mounting task
    was killed.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.luks_keys
attributes:
  check_mode:
    support: full
    details: Reads the partition tables and tells whether the disks could be mounted; the machine's C(fstab) is not read.
  diff_mode:
    support: none
options:
  state:
    description: Whether the machine is to be mounted.
    type: str
    choices: [mounted, unmounted]
    default: mounted
  mount_point:
    description: An empty folder, or one that does not exist; then it is made, and removed when the machine is unmounted.
    type: path
    required: true
  disks:
    description:
      - All disks of the machine, each a dictionary. Required for O(state=mounted).
      - C(name) is the name of the disk at the source, such as V(sda) or V(nvme0n1), and C(path) the raw disk file or block device on
        the worker.
      - C(size), if given, is the size in bytes that the disk must have; a block device may be larger.
      - C(sector_size), if given, is the logical sector size in bytes of the source's disk. By default that of the block device, or 512
        for a file.
      - Other keys are ignored, so that the result RV(agnostic.recovery.image_restore#module:disks) fits.
    type: list
    elements: dict
  backend:
    description:
      - V(kernel) uses only what the worker's kernel can mount.
      - V(fuse) uses C(fuse2fs) for ext2, ext3 and ext4, and C(mtools) for FAT.
      - V(guestfs) mounts in a small virtual machine. It opens LVM, MD, and LUKS with the keys in O(luks_keys), takes 10 to 30 seconds, and
        keeps hostile file systems away from the worker's kernel.
      - V(auto) takes the first of V(kernel) and V(fuse) that can mount each file system, and V(guestfs) for the whole machine only
        where these cannot reach what is needed.
    type: str
    choices: [auto, kernel, fuse, guestfs]
    default: auto
  read_only:
    description: Writes nothing to the disks, not even the replay of a journal.
    type: bool
    default: false
  root:
    description: The volume with the root, such as V(sda2), or V(sda2:@) for a subvolume, where the disks hold several root file systems.
    type: str
    default: ''
seealso:
  - module: agnostic.recovery.image_restore
  - module: agnostic.recovery.recovery_fixup
requirements:
  - root on the worker
  - mtools, for FAT where the kernel has no driver for it
  - fuse2fs, for ext file systems where the kernel has no driver for them
  - guestfish of libguestfs, for LVM, MD and LUKS
"""

EXAMPLES = r"""
- name: Mount a restored machine
  agnostic.recovery.recovery_mount:
    mount_point: /mnt/shop
    disks:
      - name: sda
        path: /srv/restored/shop-sda.raw
      - name: sdb
        path: /dev/vdc
  become: true
  register: mounted

- name: Mount a machine with an encrypted root
  agnostic.recovery.recovery_mount:
    mount_point: /mnt/vault
    disks:
      - name: sda
        path: /srv/restored/vault-sda.raw
    luks_keys:
      - passphrase: "{{ vault_luks_passphrase }}"
  become: true

- name: Unmount it, on every way out
  agnostic.recovery.recovery_mount:
    mount_point: /mnt/shop
    state: unmounted
  become: true
"""

RETURN = r"""
root:
  description: The folder at which the machine's root is mounted.
  returned: O(state=mounted)
  type: str
  sample: /mnt/shop
mounts:
  description: What is mounted, in the order of mounting. Empty in check mode where nothing is mounted yet.
  returned: O(state=mounted)
  type: list
  elements: dict
  contains:
    device:
      description: Name of the disk, or of the logical volume.
      type: str
      sample: sda
    partition:
      description: Number of the partition, V(0) for a whole disk or a logical volume.
      type: int
      sample: 2
    path:
      description: Where it lies in the machine.
      type: str
      sample: /boot
    type:
      description: Type of the file system.
      type: str
      sample: ext4
    backend:
      description: What mounted it, one of V(kernel), V(fuse), V(mtools), V(guestfs).
      type: str
      sample: kernel
    read_only:
      description: Whether it is mounted read-only.
      type: bool
missing:
  description:
    - Entries of C(fstab) that are not mounted although they name a disk's file system.
    - Where C(/boot) or C(/usr) would be among them the module fails.
  returned: O(state=mounted)
  type: list
  elements: dict
  contains:
    spec:
      description: First field of the entry.
      type: str
      sample: UUID=0f3f8b5e-5a4e-4c39-8f0c-8a2f6f3d9b11
    path:
      description: Its mount point.
      type: str
      sample: /backup
    reason:
      description: Why it is not mounted.
      type: str
      sample: no volume of the given disks matches
disks:
  description: The disks with their partitions and contents, as M(agnostic.recovery.recovery_fixup) wants them.
  returned: O(state=mounted)
  type: list
  elements: dict
  sample:
    - name: sda
      size: 8589934592
      table: gpt
      partitions:
        - number: 1
          start: 1048576
          size: 8587837440
"""


from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.machine.data import from_data, to_data
from ..module_utils.recovery.luks import read_keys
from ..module_utils.recovery.model import RestoredDisk
from ..module_utils.recovery.mount import BACKENDS, check_machine, find_mounted, is_known, mount_machine, unmount_machine


def main():
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["mounted", "unmounted"], default="mounted"),
            mount_point=dict(type="path", required=True),
            disks=dict(type="list", elements="dict"),
            backend=dict(type="str", choices=list(BACKENDS), default="auto"),
            read_only=dict(type="bool", default=False),
            root=dict(type="str", default=""),
            luks_keys=dict(type="list", elements="dict", default=[], no_log=False, options=dict(
                volume=dict(type="str"),
                passphrase=dict(type="str", no_log=True),
                key_file=dict(type="path", no_log=False),
            )),
        ),
        required_if=[("state", "mounted", ["disks"])],
        supports_check_mode=True,
    )
    try:
        if module.params["state"] == "mounted":
            module.exit_json(**mounted(module))
        point = module.params["mount_point"]
        module.exit_json(changed=is_known(point) if module.check_mode else unmount_machine(point))
    except RecoveryError as error:
        module.fail_json(msg=str(error))


def mounted(module):
    params = module.params
    disks = [from_data(RestoredDisk, data) for data in params["disks"]]
    wanted = (disks, params["mount_point"], params["backend"], params["read_only"], params["root"])
    before = find_mounted(params["mount_point"])
    if module.check_mode and before is None:
        return dict(changed=True, root=params["mount_point"], mounts=[], missing=[], disks=to_data(check_machine(*wanted)))
    result = mount_machine(*wanted, luks_keys=read_keys(params["luks_keys"]))
    return dict(changed=before is None, root=result.root, mounts=to_data(result.mounts), missing=to_data(result.missing),
                disks=to_data(result.disks))


if __name__ == "__main__":
    main()
