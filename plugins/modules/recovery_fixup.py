#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: recovery_fixup
short_description: Fits a mounted recovery image to the platform that it will boot on
version_added: 1.0.0
description:
  - Inspects the mounted root of a restored machine, plans what must change so that it boots on the target, makes the changes and
    verifies them by reading the image again.
  - Adds the target's disk drivers to the initramfs of every kernel that the boot loader can start, replaces names of disks that depend
    on the old controller, keeps the names of network interfaces on new NICs, and brings boot messages and a login to the serial console.
  - Puts the machine's boot loader where UEFI firmware without boot entries looks for it, lets LVM and mdadm find the target's disks, and
    lets the machine boot without disks that were not recovered.
  - These are edits of files from outside. No program of the recovery image runs, nothing is installed, no network is used.
  - Where the machine uses SELinux, files that are new get the label that its own policy gives them, so it needs no boot that relabels
    all files. Files that are changed keep their label.
  - The originals stay in the image below C(/var/lib/agnostic.recovery/fixups), so O(state=undone) brings back every byte, owner, mode,
    label and time. A run that was killed is undone before the next one begins.
author:
  - the agnostic.recovery developers (@agnostic-recovery)
extends_documentation_fragment:
  - agnostic.recovery.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  root:
    description: Directory where the root file system of the recovery image is mounted, with all its other file systems.
    type: path
    required: true
  state:
    description:
      - V(applied) makes the changes that are missing. A second run changes nothing.
      - V(planned) only tells what V(applied) would do, without reporting a change.
      - V(undone) undoes everything that was applied.
    type: str
    choices: [applied, planned, undone]
    default: applied
  target:
    description: Name of the target profile. Required unless O(state=undone).
    type: str
    choices: [aws-nitro, aws-xen, azure, gcp, hyperv-gen1, hyperv-gen2, kvm, ncloud-kvm, ncloud-xen, openstack, vmware]
  disks:
    description:
      - The disks as they were captured, each with its name, partitions and contents, as the machine model and the module
        C(recovery_mount) give them.
      - They tell which file system C(/dev/sda2) was. Without them names of disks are not replaced.
    type: list
    elements: dict
    default: []
  drivers:
    description:
      - V(union) adds the disk drivers of all known profiles, so that the same image boots on every target and back home.
      - V(target) adds those of O(target) only.
    type: str
    choices: [union, target]
    default: union
  firmware:
    description:
      - The firmware that the guest gets on the target. With it a machine whose disks it cannot start is told of.
      - By default it is any that the profile O(target) offers.
    type: str
    choices: [bios, uefi]
  network:
    description: The machine's network on the target.
    type: dict
    default: {}
    suboptions:
      mode:
        description:
          - V(keep) keeps addresses as they are.
          - V(dhcp) lets interfaces with a fixed address ask for one, also bonds, VLANs and bridges over a NIC. Fixed routes and name
            servers of these go. A bridge without a NIC below keeps its address.
          - V(mapped) gives interfaces the addresses of O(network.addresses), wherever the old ones are configured.
          - MAC addresses that interfaces are bound to follow the NICs in all modes, and those that interfaces are given go,
            because a cloud's network drops what comes from them.
        type: str
        choices: [keep, dhcp, mapped]
        default: keep
      nics:
        description:
          - The NICs of the target. Needed where the machine has more than one; the only one is recognised by its driver.
        type: list
        elements: dict
        default: []
        suboptions:
          mac:
            description: MAC address of the NIC.
            type: str
            required: true
          name:
            description: The machine's interface that this NIC becomes. By default the one that had this MAC address, else the next one.
            type: str
            default: ''
      addresses:
        description: Old and new addresses, for the mode V(mapped).
        type: list
        elements: dict
        default: []
        suboptions:
          old:
            description: Address that the machine has, without prefix length.
            type: str
            required: true
          new:
            description: Address that it gets, with prefix length.
            type: str
            required: true
          gateway:
            description: New gateway. It stays by default.
            type: str
            default: ''
          nameservers:
            description: New name servers. They stay by default.
            type: list
            elements: str
            default: []
seealso:
  - module: agnostic.recovery.recovery_plan
"""

EXAMPLES = r"""
- name: Fit the recovered shop to KVM
  agnostic.recovery.recovery_fixup:
    root: /mnt/shop
    target: kvm
    disks: "{{ mounted.disks }}"
    network:
      mode: keep
      nics:
        - mac: 52:54:00:12:34:56
          name: lan0

- name: Show what would be changed for another target
  agnostic.recovery.recovery_fixup:
    root: /mnt/shop
    target: aws-nitro
    disks: "{{ mounted.disks }}"
    state: planned

- name: Bring back the image as it was restored
  agnostic.recovery.recovery_fixup:
    root: /mnt/shop
    state: undone
"""

RETURN = r"""
changes:
  description: Every change with the fix-up that wants it, in order.
  returned: O(state=applied) or O(state=planned)
  type: list
  elements: dict
  contains:
    fixup:
      description: Name of the fix-up.
      type: str
      sample: disk_names
    path:
      description: File in the recovery image.
      type: str
      sample: /etc/fstab
    reason:
      description: Why.
      type: str
      sample: the name depends on the old disk controller or partition table
    action:
      description: V(created), V(changed), V(removed) or V(extended).
      type: str
      sample: changed
findings:
  description: What no change can mend, and what could not be read.
  returned: O(state=applied) or O(state=planned)
  type: list
  elements: dict
  contains:
    fixup:
      description: Name of the fix-up, or V(inspect).
      type: str
    severity:
      description: V(info), V(warning) or V(error). An V(error) means that the machine will not do on the target all that it did before.
      type: str
    text:
      description: What it is and what to do.
      type: str
firmware:
  description: What the disks are made for, V(bios), V(uefi), V(both), or an empty string where nothing shows it.
  returned: O(state=applied) or O(state=planned)
  type: str
  sample: uefi
undone:
  description: Files that were brought back.
  returned: O(state=undone)
  type: list
  elements: str
verified:
  description: Whether the image was read again after the changes and found right. The module fails where it was found wrong.
  returned: O(state=applied), not in check mode
  type: bool
seconds:
  description: Time of the steps C(inspect), C(plan), C(apply) and C(verify), as far as they ran.
  returned: O(state=applied) or O(state=planned)
  type: dict
  sample: {inspect: 0.31, plan: 0.12, apply: 0.08, verify: 0.33}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.fixup import change, engine
from ..module_utils.fixup.situation import MappedAddress, NetworkOptions, Options, TargetNic
from ..module_utils.machine.data import from_data
from ..module_utils.machine.firmware import read_firmware
from ..module_utils.machine.model import Disk
from ..module_utils.machine.network.draft import mac_address
from ..module_utils.machine.tree import Tree
from ..module_utils.target.profile import PROFILES, get_profile


def main():
    module = AnsibleModule(
        argument_spec=dict(
            root=dict(type="path", required=True),
            state=dict(type="str", choices=["applied", "planned", "undone"], default="applied"),
            target=dict(type="str", choices=sorted(PROFILES)),
            disks=dict(type="list", elements="dict", default=[]),
            drivers=dict(type="str", choices=["union", "target"], default="union"),
            firmware=dict(type="str", choices=["bios", "uefi"]),
            network=dict(type="dict", default={}, options=dict(
                mode=dict(type="str", choices=["keep", "dhcp", "mapped"], default="keep"),
                nics=dict(type="list", elements="dict", default=[], options=dict(
                    mac=dict(type="str", required=True),
                    name=dict(type="str", default=""),
                )),
                addresses=dict(type="list", elements="dict", default=[], options=dict(
                    old=dict(type="str", required=True),
                    new=dict(type="str", required=True),
                    gateway=dict(type="str", default=""),
                    nameservers=dict(type="list", elements="str", default=[]),
                )),
            )),
        ),
        required_if=[("state", "applied", ["target"]), ("state", "planned", ["target"])],
        supports_check_mode=True,
    )
    try:
        tree = Tree(module.params["root"])
        if module.params["state"] == "undone":
            undo(module, tree)
        else:
            fix_up(module, tree)
    except RecoveryError as error:
        module.fail_json(msg=str(error))


def undo(module, tree):
    paths = engine.undoable(tree) if module.check_mode else engine.undo(tree)
    module.exit_json(changed=bool(paths), undone=list(paths))


def fix_up(module, tree):
    only_plan = module.check_mode or module.params["state"] == "planned"
    disks = [from_data(Disk, disk) for disk in module.params["disks"]]
    result = engine.fix_up(tree, disks, get_profile(module.params["target"]), options(module), only_plan)
    returned = change.plan_data(result.plan)
    returned.update(
        changed=bool(result.plan.changes) and module.params["state"] == "applied",
        firmware=read_firmware(tree, disks),
        seconds=result.seconds,
        diff=list(change.diff(result.plan.changes)),
    )
    if result.problems:
        module.fail_json(msg="The recovery image is not fit for the target after the fix-ups: " + " ".join(result.problems), **returned)
    if not only_plan:
        returned["verified"] = True
    module.exit_json(**returned)


def options(module):
    network = module.params["network"]
    nics = []
    for nic in network.get("nics", []):
        mac = mac_address(nic["mac"])
        if not mac:
            module.fail_json(msg=f"{nic['mac']!r} in network.nics is no MAC address.")
        nics.append(TargetNic(mac, nic["name"]))
    addresses = [
        MappedAddress(entry["old"], entry["new"], entry["gateway"], tuple(entry["nameservers"])) for entry in network.get("addresses", [])
    ]
    return Options(module.params["drivers"], NetworkOptions(network.get("mode", "keep"), tuple(nics), tuple(addresses)),
                   module.params["firmware"] or "")


if __name__ == "__main__":
    main()
