#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The work is done by the action plugin of the same name.

DOCUMENTATION = r"""
module: image_restore
short_description: Restore the disks of an image
version_added: 1.0.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Writes disks of an image to raw disk files or block devices. Every chunk is checked before it is written.
  - Every block that holds data equals the source; free blocks read as zeros.
  - A disk file is written under its name with C(.partial) appended and gets its name when it is complete.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.engine_job
  - agnostic.recovery.repository
  - agnostic.recovery.engine_job
  - agnostic.recovery.engine_host
attributes:
  check_mode:
    support: full
    details: Opens the repository, finds the image and checks the targets.
  diff_mode:
    support: none
options:
  machine:
    description: The machine's name in the repository.
    type: str
    required: true
  image:
    description:
      - Which image of the machine, V(latest), an image id, or a time such as V(2026-11-22T01:00:00Z) for the last one
        that was captured at or before it.
    type: str
    default: latest
  disks:
    description: Which disks of the image to restore, and where to.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The disk's name in the image.
        type: str
        required: true
      path:
        description: A raw disk file to make, or a block device that is large enough, on the host.
        type: path
        required: true
  force:
    description:
      - Replace a disk file that exists, and overwrite a block device that holds a partition table or a file system.
      - A device that is in use is refused in any case.
    type: bool
    default: false
  workers:
    description: Number of threads that fetch and write; V(0) chooses by the host's processors.
    type: int
    default: 0
  write_limit:
    description:
      - The most that is written to the disks in a second, such as V(50M); V(0) sets no limit.
      - It bounds what is fetched from the repository too, which is never more. Zeros that fill free space are not counted.
    type: bytes
    default: 0
    version_added: 1.1.0
seealso:
  - module: agnostic.recovery.image_capture
  - module: agnostic.recovery.recovery_mount
"""

EXAMPLES = r"""
- name: Restore the latest image of a server as a disk file
  agnostic.recovery.image_restore:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    machine: web1
    disks:
      - name: sda
        path: /var/lib/recovery/web1-sda.raw

- name: Restore the state of a certain night onto a block device
  agnostic.recovery.image_restore:
    repository:
      path: /srv/recovery
    key_file: /root/recovery.key
    machine: web1
    image: "2026-11-22T01:00:00Z"
    disks:
      - name: sda
        path: /dev/vdb
    force: true
  become: true
"""

RETURN = r"""
image:
  description: The image that was restored; see M(agnostic.recovery.image_info) for what it holds.
  returned: success
  type: dict
disks:
  description: The restored disks.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the disk in the image.
      type: str
    path:
      description: Where it was written.
      type: str
    size:
      description: Bytes of the disk.
      type: int
bytes:
  description: Bytes that were written. 0 in check mode.
  returned: success
  type: int
job:
  description: The engine job.
  returned: always
  type: dict
  contains:
    id:
      description: Id of the job on the host.
      type: str
    answer:
      description: Whether the task V(started) the job, V(joined) it, or was V(handed_out) the result of one that had ended.
      type: str
    status:
      description: How it ended, one of V(finished), V(failed), V(cancelled), V(died).
      type: str
    seconds:
      description: How long it ran.
      type: float
error_type:
  description: Type of the error, such as V(TargetError), V(DamagedObjectError) or V(KeyAccessError).
  returned: failure
  type: str
"""
