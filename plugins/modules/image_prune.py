#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The work is done by the action plugin of the same name.

DOCUMENTATION = r"""
module: image_prune
short_description: Remove images that need not be kept, and what no image needs
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Removes images by a policy or by name, and then all chunks and index pages that no image needs any more.
  - Captures and replications may run meanwhile; nothing that they use is deleted. What became unneeded while some of them ran is
    announced, and deleted by the next prune after they have ended. So run it regularly, such as once a day.
  - A prune that is killed is finished by the next one. An image that cannot be read stops it before anything is deleted, because what that
    image needs is not known; verify, and remove that image by O(images).
  - The host needs permission to delete in the store. Hosts that capture do not.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.engine_job
  - agnostic.recovery.repository
  - agnostic.recovery.repository.capture_credential
  - agnostic.recovery.engine_job
  - agnostic.recovery.engine_host
attributes:
  check_mode:
    support: full
    details: Tells which images would be removed, and how many objects and bytes no image would need then.
  diff_mode:
    support: none
options:
  machine:
    description: Apply O(keep) only to this machine; without it, to each machine for itself.
    type: str
  images:
    description: Remove the images with these ids, whatever O(keep) says.
    type: list
    elements: str
  keep:
    description:
      - What is kept; an image that no part of it names is removed. Without it no image is removed by policy.
      - Of each of the latest so many hours, days, weeks, months and years in which an image of the machine began, the last image is kept.
      - Hours to years are those of UTC; a week begins on Monday.
      - The newest image of a machine is always kept, unless O(force) says otherwise.
    type: dict
    suboptions:
      last:
        description: How many of the newest images.
        type: int
      hourly:
        description: For how many hours.
        type: int
      daily:
        description: For how many days.
        type: int
      weekly:
        description: For how many weeks.
        type: int
      monthly:
        description: For how many months.
        type: int
      yearly:
        description: For how many years.
        type: int
      within_days:
        description: All images that began no more than so many days before the machine's newest one.
        type: float
  protect:
    description: Ids of images that O(keep) does not remove.
    type: list
    elements: str
  force:
    description: Let O(keep) remove a machine's newest image too.
    type: bool
    default: false
  silent_days:
    description:
      - A capture of which nothing was heard for so long, by the clock of the store, is taken for dead, and what it stored is deleted.
      - If it lives after all, it cannot commit its image, and says so.
    type: float
    default: 1.0
  workers:
    description: Number of threads; V(0) chooses.
    type: int
    default: 0
seealso:
  - module: agnostic.recovery.image_info
  - module: agnostic.recovery.image_verify
"""

EXAMPLES = r"""
- name: Keep two weeks of days, two months of weeks, a year of months
  agnostic.recovery.image_prune:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    keep:
      daily: 14
      weekly: 8
      monthly: 12

- name: Remove one image for good
  agnostic.recovery.image_prune:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    images:
      - web1/20261122T010203Z-9f3a61c2
"""

RETURN = r"""
pruned:
  description: What was done; in check mode, what would be.
  returned: success
  type: dict
  contains:
    removed_images:
      description: Ids of the images that were removed.
      type: list
      elements: str
    images:
      description: How many images are left.
      type: int
    needed_chunks:
      description: How many chunks they need.
      type: int
    deleted:
      description: How many objects were deleted.
      type: int
    deleted_bytes:
      description: Their bytes in the store.
      type: int
    announced:
      description: How many objects the next prune deletes, when the captures that run now have ended; in check mode, all that nobody needs.
      type: int
    announced_bytes:
      description: Their bytes in the store.
      type: int
    open_sessions:
      description: How many captures and replications seem to run.
      type: int
    ended_sessions:
      description: How many were taken for dead.
      type: int
    unfinished:
      description: Captures that announced their commit and were never heard of again. What they need is kept; see docs/retention.md.
      type: list
      elements: str
kept:
  description: The images that are kept, with the reasons, such as V(daily). Empty without O(keep).
  returned: success
  type: dict
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
