#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The work is done by the action plugin of the same name.

DOCUMENTATION = r"""
module: image_replicate
short_description: Bring images to another place
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Copies images that are missing at the target, with all that they need. The target is a repository of the same id, opened by the same keys,
    or an empty place, which becomes one. A place that holds another repository is refused.
  - Only objects that are missing travel. With a passphrase or key file every chunk is decrypted and checked on its way; with the capture
    credential only its header and length are.
  - The target has a retention of its own; images that were removed there, but not here, come again. Nothing is removed at the target.
  - A replication that is killed goes on where it was, by the same task.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.engine_job
  - agnostic.recovery.repository
  - agnostic.recovery.repository.target
  - agnostic.recovery.repository.capture_credential
  - agnostic.recovery.engine_job
  - agnostic.recovery.engine_host
attributes:
  check_mode:
    support: full
    details: Tells which images are missing at the target.
  diff_mode:
    support: none
options:
  machine:
    description: Only images of this machine; without it, those of all machines.
    type: str
  images:
    description: Only the images with these ids.
    type: list
    elements: str
  within_days:
    description: Only images that began no more than so many days before the machine's newest one; V(0.0) sets no bound.
    type: float
    default: 0.0
  limit:
    description: The most that is copied in a second, such as V(50M); V(0) sets no limit.
    type: bytes
    default: 0
  workers:
    description: Number of threads; V(0) chooses.
    type: int
    default: 0
seealso:
  - module: agnostic.recovery.image_verify
"""

EXAMPLES = r"""
- name: Bring all images to another site
  agnostic.recovery.image_replicate:
    repository:
      path: /srv/recovery
    target:
      type: s3
      bucket: recovery-copy
      endpoint_url: https://objects.example.net
    passphrase: "{{ dr_passphrase }}"
    limit: 50M
"""

RETURN = r"""
replicated:
  description: What was done; in check mode, what would be.
  returned: success
  type: dict
  contains:
    images:
      description: Ids of the images that were copied; in check mode, that are missing at the target.
      type: list
      elements: str
    gone:
      description: Ids of images that were removed from the repository while they were copied. They are not at the target.
      type: list
      elements: str
    made:
      description: Whether the target was made a repository.
      type: bool
    stored:
      description: Bytes that this added at the target.
      type: int
    stored_objects:
      description: Objects that this added at the target.
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
  description: Type of the error, such as V(DamagedObjectError).
  returned: failure
  type: str
"""
