#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The work is done by the action plugin of the same name.

DOCUMENTATION = r"""
module: ebs_snapshot
short_description: Put a disk into AWS as an EBS snapshot
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Writes a raw disk file or a block device of the host to an EBS snapshot, through the EBS direct API. No machine in AWS is needed.
  - Only blocks of 512 KiB that hold something are sent, each with its checksum; holes of a disk file are not even read.
  - The snapshot is known by its name. A completed one is never changed. One that an attempt has left unfinished is removed, and the disk
    is put anew.
  - The module C(amazon.aws.ec2_ami) registers the snapshot as an image that machines start from.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.engine_job
  - agnostic.recovery.aws
  - agnostic.recovery.engine_job
  - agnostic.recovery.engine_host
attributes:
  check_mode:
    support: full
    details: Asks AWS for the snapshot and opens the disk.
  diff_mode:
    support: none
options:
  state:
    description:
      - V(present) makes the snapshot unless there is a completed one of this name.
      - V(absent) removes all of the account's own snapshots of this name, and waits until they are gone.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: Name of the snapshot, its tag C(Name). It must be unique among the account's own snapshots of the region.
    type: str
    required: true
  path:
    description: Raw disk file or block device on the host. Needed with O(state=present). It must not change while it is read.
    type: path
  parent:
    description:
      - Id of a snapshot that holds an older state of the disk. Only blocks that differ from it are sent and stored.
      - Blocks that both have are read from AWS and compared, so this saves storage and uploads, and costs downloads.
      - The new snapshot is encrypted as this one is.
    type: str
  description:
    description: Description of the snapshot.
    type: str
  tags:
    description: More tags of the snapshot.
    type: dict
    default: {}
  encrypted:
    description:
      - Encrypt the snapshot also where the account does not do so by default. Not together with O(parent).
    type: bool
    default: false
  kms_key:
    description: ARN of the KMS key for it. By default the account's key for EBS. It needs O(encrypted).
    type: str
  workers:
    description: Number of threads that read, hash and send.
    type: int
    default: 16
  puts_per_second:
    description:
      - The most blocks that are sent in a second; V(0) sets no limit.
      - AWS takes 1,000 a second for one snapshot, and for all of an account together unless it was raised.
    type: float
    default: 900
seealso:
  - module: agnostic.recovery.image_restore
notes:
  - AWS gives up a snapshot that nothing was written to for 4 hours.
"""

EXAMPLES = r"""
- name: Put a recovered disk into AWS
  agnostic.recovery.ebs_snapshot:
    region: eu-central-1
    name: drill-20261122T010203Z-4f2a/shop/sda
    path: /var/lib/agnostic.recovery/runs/drill-20261122T010203Z-4f2a/shop/sda.raw
    tags:
      purpose: drill
  register: put

- name: Register it as an image
  amazon.aws.ec2_ami:
    region: eu-central-1
    name: shop of drill-20261122T010203Z-4f2a
    architecture: x86_64
    virtualization_type: hvm
    enhanced_networking: true
    boot_mode: legacy-bios
    root_device_name: /dev/sda1
    device_mapping:
      - device_name: /dev/sda1
        snapshot_id: "{{ put.snapshot.id }}"
        delete_on_termination: true

- name: Remove the snapshot
  agnostic.recovery.ebs_snapshot:
    region: eu-central-1
    name: drill-20261122T010203Z-4f2a/shop/sda
    state: absent
"""

RETURN = r"""
snapshot:
  description: The snapshot. Empty with O(state=absent), and in check mode where there is none.
  returned: success
  type: dict
  contains:
    id:
      description: Id of the snapshot.
      type: str
    name:
      description: Its name.
      type: str
    state:
      description: Its state, V(completed).
      type: str
    size:
      description: Size of the volume that it is of, in GiB.
      type: int
    encrypted:
      description: Whether it is encrypted.
      type: bool
    tags:
      description: All its tags.
      type: dict
    message:
      description: What AWS says about its state. Mostly empty.
      type: str
written:
  description: What was sent. Empty where nothing was.
  returned: success
  type: dict
  contains:
    written:
      description: Number of blocks of 512 KiB that were sent.
      type: int
    zeroed:
      description: Of these, the number of blocks that were sent because they are zero and were not in O(parent).
      type: int
    unchanged:
      description: Number of blocks that O(parent) holds as the disk does.
      type: int
    seconds:
      description: How long it took, without the time that AWS took to complete the snapshot.
      type: float
removed:
  description: Ids of the snapshots that were removed, or would be.
  returned: success
  type: list
  elements: str
job:
  description: The engine job.
  returned: always
  type: dict
  contains:
    id:
      description: Id of the job on the host.
      type: str
    answer:
      description: Whether the task V(started) the job or V(joined) it.
      type: str
    status:
      description: How it ended, one of V(finished), V(failed), V(cancelled), V(died).
      type: str
    seconds:
      description: How long it ran.
      type: float
error_type:
  description: Type of the error, such as V(TargetError), V(Refused) or V(SourceError).
  returned: failure
  type: str
"""
