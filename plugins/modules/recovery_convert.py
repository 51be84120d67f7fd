#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: recovery_convert
short_description: Let restored disks start by the firmware that the target has
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - A machine that is made for BIOS does not start on a target that offers UEFI only, nor the reverse. Where that is so, this module adds a
    boot loader for the other firmware to the restored disks, made of the worker's own GRUB. It goes on with the machine's own menu.
  - For UEFI it adds an EFI system partition of 64 MiB. A disk file grows by that where it has no room; a block device must be larger than
    the image. An MBR becomes a GPT only where its four entries are taken, or where the target starts from a GPT only.
  - For BIOS it adds a BIOS boot partition on a GPT, or uses the gap in front of the first partition on an MBR.
  - Where the target's firmware starts the disks as they are, nothing is done.
  - File systems and their contents stay as they are. No program of the machine runs.
  - What it overwrites is kept in a journal first, so O(state=undone) brings back every byte. A run that was killed is undone before the
    next one begins. Undo the fix-ups of M(agnostic.recovery.recovery_fixup) before the conversion.
  - Use it after M(agnostic.recovery.image_restore) and before M(agnostic.recovery.recovery_mount).
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.luks_keys
attributes:
  check_mode:
    support: full
    details: The machine is mounted read-only for a look.
  diff_mode:
    support: none
options:
  state:
    description: Whether the disks are made startable for the target, or brought back as they were.
    type: str
    choices: [converted, undone]
    default: converted
  journal:
    description:
      - A folder on the worker for the journal, which the conversion makes. Without it the conversion cannot be undone.
      - It holds sectors of the disks.
    type: path
    required: true
  disks:
    description: All disks of the machine, as for M(agnostic.recovery.recovery_mount). Required for O(state=converted).
    type: list
    elements: dict
  target:
    description: Name of the target profile. Required for O(state=converted).
    type: str
    choices: [aws-nitro, aws-xen, azure, gcp, hyperv-gen1, hyperv-gen2, kvm, ncloud-kvm, ncloud-xen, openstack, vmware]
  firmware:
    description:
      - The firmware that the guest gets on the target.
      - By default any that the profile O(target) offers will do.
    type: str
    choices: [bios, uefi]
  mount_point:
    description:
      - Where the machine is mounted read-only for a look, and unmounted again; an empty folder, or one that does not exist.
      - Required for O(state=converted).
    type: path
  backend:
    description: See the option C(backend) of M(agnostic.recovery.recovery_mount).
    type: str
    choices: [auto, kernel, fuse, guestfs]
    default: auto
  root:
    description: See the option C(root) of M(agnostic.recovery.recovery_mount).
    type: str
    default: ''
notes:
  - The loader is not signed. Secure Boot must be off for a guest that is started by it.
  - The machine's own packages do not know the loader and do not update it. The machine's updates of kernels and menu take effect as before.
  - C(/etc/fstab) does not get an entry for the added EFI system partition, because nothing in the machine needs it, and an entry can stop
    its boot.
  - Machines whose menu is made by C(blscfg) (RHEL 8 and later, Fedora), by GRUB legacy, systemd-boot or extlinux are refused.
seealso:
  - module: agnostic.recovery.image_restore
  - module: agnostic.recovery.recovery_mount
  - module: agnostic.recovery.recovery_fixup
requirements:
  - root on the worker
  - what M(agnostic.recovery.recovery_mount) needs
  - grub-mkimage and grub-fstest of GRUB 2, with its modules for x86_64-efi or i386-pc
  - mkfs.vfat of dosfstools and mtools, for UEFI
"""

EXAMPLES = r"""
- name: Let the restored shop start on Hyper-V generation 2
  agnostic.recovery.recovery_convert:
    disks: "{{ restored.disks }}"
    target: hyperv-gen2
    mount_point: /mnt/shop
    journal: /srv/restored/shop-conversion
  become: true
  register: converted

- name: Mount it for the fix-ups
  agnostic.recovery.recovery_mount:
    disks: "{{ converted.disks }}"
    mount_point: /mnt/shop
  become: true

- name: Bring back the disks as they were restored
  agnostic.recovery.recovery_convert:
    state: undone
    journal: /srv/restored/shop-conversion
  become: true
"""

RETURN = r"""
firmware:
  description: The firmware that the disks were converted for, or an empty string where nothing was to be done.
  returned: O(state=converted)
  type: str
  sample: uefi
steps:
  description: What was done, as sentences.
  returned: O(state=converted)
  type: list
  elements: str
  sample: [Partition 5 is added, an EFI system partition of 64 MiB with the worker's GRUB.]
disks:
  description: The disks as they were given, with the sizes that they have now.
  returned: O(state=converted)
  type: list
  elements: dict
  sample: [{name: sda, path: /srv/restored/shop-sda.raw, size: 6510608384, sector_size: 512}]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.machine.data import from_data, to_data
from ..module_utils.recovery.conversion import convert, journal
from ..module_utils.recovery.luks import read_keys
from ..module_utils.recovery.model import RestoredDisk
from ..module_utils.recovery.mount import BACKENDS
from ..module_utils.target.profile import PROFILES, get_profile


def main():
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["converted", "undone"], default="converted"),
            journal=dict(type="path", required=True),
            disks=dict(type="list", elements="dict"),
            target=dict(type="str", choices=sorted(PROFILES)),
            firmware=dict(type="str", choices=["bios", "uefi"]),
            mount_point=dict(type="path"),
            backend=dict(type="str", choices=list(BACKENDS), default="auto"),
            root=dict(type="str", default=""),
            luks_keys=dict(type="list", elements="dict", default=[], no_log=False, options=dict(
                volume=dict(type="str"),
                passphrase=dict(type="str", no_log=True),
                key_file=dict(type="path", no_log=False),
            )),
        ),
        required_if=[("state", "converted", ["disks", "target", "mount_point"])],
        supports_check_mode=True,
    )
    try:
        if module.params["state"] == "converted":
            module.exit_json(**converted(module))
        known = journal.exists(module.params["journal"])
        if known and not module.check_mode:
            journal.undo(module.params["journal"])
        module.exit_json(changed=known)
    except RecoveryError as error:
        module.fail_json(msg=str(error))


def converted(module):
    params = module.params
    disks = tuple(from_data(RestoredDisk, data) for data in params["disks"])
    request = convert.Request(disks, params["mount_point"], get_profile(params["target"]), params["firmware"] or "", params["backend"],
                              params["root"], luks_keys=read_keys(params["luks_keys"]))
    done = convert.convert(request, params["journal"], module.check_mode)
    return dict(changed=done.changed, firmware=done.firmware, steps=list(done.steps), disks=to_data(done.disks))


if __name__ == "__main__":
    main()
