#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: qemu_guest
short_description: Boots a recovered machine in QEMU on this host
version_added: 1.0.0
description:
  - Starts, stops and removes one QEMU guest that boots restored disks.
  - KVM is used only where a trial start of a small guest shows that it works, else QEMU emulates the processor.
  - The guest stays when the task has ended, but never longer than O(lifetime). A watcher ends it then, whatever happened to its starter.
  - By default the guest's network is isolated. It reaches nothing outside of its own QEMU process, and this host reaches it only through
    the forwarded ports, on loopback.
author:
  - the agnostic.recovery developers (@agnostic-recovery)
requirements:
  - QEMU 5.2 or newer (package C(qemu-system-x86), C(qemu-kvm) or C(qemu-x86)) on the host that runs the guest
  - C(timeout) of coreutils
  - for O(firmware=uefi) a UEFI firmware for QEMU (package C(ovmf), C(edk2-ovmf) or C(qemu-ovmf-x86_64))
extends_documentation_fragment:
  - agnostic.recovery.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  state:
    description:
      - V(started) starts the guest, unless exactly this guest runs already.
      - V(stopped) asks the guest to shut down by its power button and takes it down after O(shutdown_timeout).
      - V(absent) does the same, then removes all files of the guest from O(run_dir) and proves that nothing is left. Disks stay.
    type: str
    choices: [started, stopped, absent]
    default: started
  name:
    description: Name of the guest. Needed with O(state=started).
    type: str
  run_dir:
    description:
      - Directory for the guest's sockets, logs and state, an absolute path. It belongs to this guest alone.
      - It is made with mode 0700, because the console log may show what the guest's users typed.
    type: path
    required: true
  disks:
    description: Disks in boot order. At least one is needed with O(state=started).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Disk file or block device, an absolute path.
        type: path
        required: true
      format:
        description: Format of the disk file.
        type: str
        choices: [raw, qcow2, vmdk, vpc, vhdx]
        default: raw
      bus:
        description: How the guest sees the disk.
        type: str
        choices: [virtio-scsi, virtio-blk, ahci, ide, nvme, lsi, megasas, mptsas, pvscsi]
        default: virtio-scsi
      read_only:
        description: The guest cannot write to the disk. Emulated ATA disks (V(ahci), V(ide)) cannot be read-only.
        type: bool
        default: false
      snapshot:
        description: What the guest writes goes to a throw-away file in O(run_dir). The disk itself does not change.
        type: bool
        default: false
  nics:
    description: Network cards, each with a network of its own inside QEMU or connected to a segment.
    type: list
    elements: dict
    default: []
    suboptions:
      model:
        description: How the guest sees the card.
        type: str
        choices: [virtio-net, e1000, e1000e, rtl8139, vmxnet3]
        default: virtio-net
      mac:
        description: MAC address. QEMU chooses one by default.
        type: str
        default: ''
      network:
        description: IPv4 network of the guest.
        type: str
        default: 192.0.2.0/24
      gateway:
        description: Address of the gateway that the guest sees. The first address of O(nics[].network) by default.
        type: str
        default: ''
      address:
        description:
          - Address of the guest. Forwarded ports lead to it, and a guest that asks by DHCP gets it.
          - The 15th address of O(nics[].network) by default.
        type: str
        default: ''
      isolated:
        description: The guest reaches nothing outside. Turn this off only for a guest that may reach production.
        type: bool
        default: true
      segment:
        description:
          - Directory of the segment (M(agnostic.recovery.qemu_segment)) that the card is connected to, so that the guest reaches the others
            there. The segment has its own O(nics[].network), gateway and isolation; O(nics[].address) must be the one that the guest has,
            as forwarded ports lead to it.
        type: path
        default: ''
      forwards:
        description: TCP ports of the guest that this host shall reach.
        type: list
        elements: dict
        default: []
        suboptions:
          guest_port:
            description: Port of the guest.
            type: int
            required: true
          host_port:
            description: Port on this host. With V(0) a free one is chosen.
            type: int
            default: 0
          host_address:
            description: Address of this host on which the port is open.
            type: str
            default: 127.0.0.1
  firmware:
    description: Firmware of the guest.
    type: str
    choices: [bios, uefi]
    default: bios
  machine:
    description: Machine type. V(pc) is the i440FX chip set, V(q35) the newer one with PCI Express.
    type: str
    choices: [pc, q35]
    default: pc
  memory:
    description: Memory of the guest in MiB.
    type: int
    default: 1024
  cpus:
    description: Number of virtual processors.
    type: int
    default: 2
  accel:
    description: V(auto) uses KVM where it works, else emulation (V(tcg)). V(kvm) fails where KVM does not work.
    type: str
    choices: [auto, kvm, tcg]
    default: auto
  lifetime:
    description: Seconds after which the guest is ended, whatever happens.
    type: int
    default: 3600
  shutdown_timeout:
    description: Seconds that the guest may take to shut down before it is taken down. With V(0) it is not asked.
    type: int
    default: 60
  screenshot:
    description:
      - File into which a picture of the guest's screen is written as PNG.
      - With O(state=stopped) and O(state=absent) it is taken before the guest ends. Where that fails there is only a warning.
      - A picture does not count as a change.
    type: path
"""

EXAMPLES = r"""
- name: Boot the restored disk on the hardware of the target
  agnostic.recovery.qemu_guest:
    name: shop
    run_dir: /var/lib/agnostic.recovery/runs/drill-20261122T010203Z-4f2a/shop
    disks:
      - path: /var/lib/agnostic.recovery/restored/shop-sda.raw
        bus: virtio-scsi
    nics:
      - model: virtio-net
        network: 192.0.2.0/24
        gateway: 192.0.2.1
        address: 192.0.2.10
        forwards:
          - guest_port: 80
          - guest_port: 5432
    memory: 2048
    lifetime: 1800
  register: shop

- name: Take a picture of the console, end the guest and prove that it is gone
  agnostic.recovery.qemu_guest:
    run_dir: /var/lib/agnostic.recovery/runs/drill-20261122T010203Z-4f2a/shop
    state: absent
    screenshot: /var/lib/agnostic.recovery/runs/drill-20261122T010203Z-4f2a/shop.png
"""

RETURN = r"""
guest:
  description: The running guest. Empty where none runs.
  returned: always
  type: dict
  contains:
    name:
      description: Name of the guest.
      type: str
      returned: always
    run_dir:
      description: Directory of the guest.
      type: str
      returned: always
    pid:
      description: Process id of QEMU.
      type: int
      returned: always
    accel:
      description: V(kvm) or V(tcg).
      type: str
      returned: always
    accel_reason:
      description: Why this one.
      type: str
      returned: always
    console_log:
      description: File that holds everything the guest has written to its serial console.
      type: str
      returned: always
    serial_socket:
      description: UNIX socket of the guest's serial console. It serves one client at a time.
      type: str
      returned: always
    qmp_socket:
      description: UNIX socket of QEMU's control protocol. It serves one client at a time.
      type: str
      returned: always
    forwards:
      description: Forwarded ports, each with RV(ignore:guest_port), RV(ignore:host_port) and RV(ignore:host_address).
      type: list
      elements: dict
      returned: always
    started:
      description: When it was started, in seconds since 1970.
      type: int
      returned: always
    ends:
      description: When its lifetime is over, in seconds since 1970.
      type: int
      returned: always
ended:
  description: How the guest ended. One of V(not running), V(powered down), V(quit) or V(killed).
  returned: with O(state=stopped), not in check mode
  type: str
proofs:
  description: What was checked after the guest had been removed, one sentence each.
  returned: with O(state=absent), not in check mode
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.machine.data import from_data, to_data
from ..module_utils.target import qemu
from ..module_utils.target.qemu_command import ACCELERATORS, DISK_BUSES, DISK_FORMATS, FIRMWARES, MACHINE_TYPES, NIC_MODELS, Guest
from ..module_utils.target.qemu_screen import take_screenshot

FORWARD = dict(
    guest_port=dict(type="int", required=True),
    host_port=dict(type="int", default=0),
    host_address=dict(type="str", default="127.0.0.1"),
)
NIC = dict(
    model=dict(type="str", choices=list(NIC_MODELS), default="virtio-net"),
    mac=dict(type="str", default=""),
    network=dict(type="str", default="192.0.2.0/24"),
    gateway=dict(type="str", default=""),
    address=dict(type="str", default=""),
    isolated=dict(type="bool", default=True),
    segment=dict(type="path", default=""),
    forwards=dict(type="list", elements="dict", default=[], options=FORWARD),
)
DISK = dict(
    path=dict(type="path", required=True),
    format=dict(type="str", choices=list(DISK_FORMATS), default="raw"),
    bus=dict(type="str", choices=list(DISK_BUSES), default="virtio-scsi"),
    read_only=dict(type="bool", default=False),
    snapshot=dict(type="bool", default=False),
)


def as_result(guest):
    """The module's `guest` from a RunningGuest, or None."""
    if guest is None:
        return {}
    return dict(to_data(guest), console_log=guest.console_log, serial_socket=guest.serial_socket, qmp_socket=guest.qmp_socket)


def take_picture(module, running):
    if module.params["screenshot"] and running is not None and not module.check_mode:
        take_screenshot(running.run_dir, module.params["screenshot"])


def start(module):
    guest = from_data(Guest, {name: module.params[name] for name in Guest._fields})
    if module.check_mode:
        return dict(changed=qemu.would_start(guest), guest=as_result(qemu.find(guest.run_dir)))
    running, changed = qemu.start(guest)
    take_picture(module, running)
    return dict(changed=changed, guest=as_result(running))


def end(module):
    run_dir = module.params["run_dir"]
    absent = module.params["state"] == "absent"
    running = qemu.find(run_dir)
    if module.check_mode:
        return dict(changed=running is not None or (absent and os.path.isdir(run_dir)), guest={})
    try:
        take_picture(module, running)
    except (RecoveryError, OSError) as error:
        module.warn(f"There is no picture of the screen: {error}")          # a guest that hangs must be ended all the same
    if absent:
        changed, proofs = qemu.remove(run_dir, module.params["shutdown_timeout"])
        return dict(changed=changed, guest={}, proofs=list(proofs))
    ended = qemu.stop(run_dir, module.params["shutdown_timeout"])
    return dict(changed=ended != "not running", guest={}, ended=ended)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["started", "stopped", "absent"], default="started"),
            name=dict(type="str"),
            run_dir=dict(type="path", required=True),
            disks=dict(type="list", elements="dict", default=[], options=DISK),
            nics=dict(type="list", elements="dict", default=[], options=NIC),
            firmware=dict(type="str", choices=list(FIRMWARES), default="bios"),
            machine=dict(type="str", choices=list(MACHINE_TYPES), default="pc"),
            memory=dict(type="int", default=1024),
            cpus=dict(type="int", default=2),
            accel=dict(type="str", choices=list(ACCELERATORS), default="auto"),
            lifetime=dict(type="int", default=3600),
            shutdown_timeout=dict(type="int", default=60),
            screenshot=dict(type="path"),
        ),
        required_if=[("state", "started", ("name", "disks"))],
        supports_check_mode=True,
    )
    try:
        result = start(module) if module.params["state"] == "started" else end(module)
    except (RecoveryError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
