#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The work is done by the action plugin of the same name.

DOCUMENTATION = r"""
module: image_import
short_description: Take an image from a single file into a repository
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Takes the image in a ZIA file into the repository that it was exported from, or into an empty place, which becomes that repository, with
    the same keys. A file of another repository is refused.
  - Every object is checked before it gets its name in the repository, and only what is missing there is stored. The image exists
    when all that it needs is there.
  - An image that the repository has already is left as it is.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.engine_job
  - agnostic.recovery.repository
  - agnostic.recovery.engine_job
  - agnostic.recovery.engine_host
attributes:
  check_mode:
    support: full
    details: Reads the beginning of the file, opens it with the key and looks whether the image is there.
  diff_mode:
    support: none
options:
  path:
    description: The file, on the host.
    type: path
    required: true
  workers:
    description: Number of threads that check and store; V(0) chooses by the host's processors.
    type: int
    default: 0
  read_limit:
    description: The most that is read of the file in a second, such as V(50M); V(0) sets no limit.
    type: bytes
    default: 0
seealso:
  - module: agnostic.recovery.image_export
"""

EXAMPLES = r"""
- name: Make a repository of a file, where nothing else is left
  agnostic.recovery.image_import:
    repository:
      path: /srv/recovered
    passphrase: "{{ dr_passphrase }}"
    path: /media/vault/web1.zia
"""

RETURN = r"""
image:
  description: The image; see M(agnostic.recovery.image_info) for what it holds.
  returned: success
  type: dict
made:
  description: Whether the repository was made, or would be in check mode.
  returned: success
  type: bool
stored:
  description: Bytes that this added to the repository.
  returned: success
  type: int
stored_objects:
  description: Number of objects that this added.
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
  description: Type of the error, such as V(SourceError), V(DamagedObjectError) or V(KeyAccessError).
  returned: failure
  type: str
"""
