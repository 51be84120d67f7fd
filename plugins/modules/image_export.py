#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The work is done by the action plugin of the same name.

DOCUMENTATION = r"""
module: image_export
short_description: Write an image to a single file
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Writes one image of a repository, with all that it needs, to one ZIA file, for a medium that leaves the house or a place that
    no network reaches.
  - Every chunk is checked before it is written. Nothing is compressed or encrypted anew, so the file opens with the keys of the repository.
  - The file is written under its name with C(.partial) appended and gets its name when it is complete. If it fails, nothing is left.
  - A file that is this image already is left as it is.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.engine_job
  - agnostic.recovery.repository
  - agnostic.recovery.engine_job
  - agnostic.recovery.engine_host
attributes:
  check_mode:
    support: full
    details: Opens the repository, finds the image and looks at the file.
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
  path:
    description: The file to make, on the host. Its folder must exist.
    type: path
    required: true
  force:
    description: Replace a file that exists and is something else.
    type: bool
    default: false
  workers:
    description: Number of threads that fetch and check; V(0) chooses by the host's processors.
    type: int
    default: 0
  read_limit:
    description: The most plain bytes that are read in a second, such as V(50M); V(0) sets no limit.
    type: bytes
    default: 0
seealso:
  - module: agnostic.recovery.image_import
notes:
  - The file holds the key slots that the repository has at this time. Who can open one of them can open the file for good, also after the
    slot was removed from the repository.
"""

EXAMPLES = r"""
- name: Write the latest image of a server to a disk that goes to the vault
  agnostic.recovery.image_export:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    machine: web1
    path: /media/vault/web1.zia
    force: true
"""

RETURN = r"""
image:
  description: The image; see M(agnostic.recovery.image_info) for what it holds.
  returned: success
  type: dict
path:
  description: The file.
  returned: success
  type: str
size:
  description: Bytes of the file that was written. 0 in check mode and when it was there.
  returned: success
  type: int
objects:
  description: Number of objects in it.
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
