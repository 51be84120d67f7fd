#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The work is done by the action plugin of the same name.

DOCUMENTATION = r"""
module: image_verify
short_description: Verify images of a repository
version_added: 1.0.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Checks that all objects that images need are there, and with O(level=full) reads and checks every byte of them.
  - The task fails when anything is damaged or missing, and names it.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.read_only
  - agnostic.recovery.attributes.engine_job
  - agnostic.recovery.repository
  - agnostic.recovery.engine_job
  - agnostic.recovery.engine_host
options:
  machine:
    description: Only images of this machine; without it, those of all machines.
    type: str
  images:
    description: Only the images with these ids.
    type: list
    elements: str
  level:
    description:
      - V(structure) checks manifests and index pages and that every chunk is there.
      - V(full) also reads, decrypts and checks every chunk.
      - V(sampled) does so with one of O(parts) parts of the chunks. Since version 1.1.0.
    type: str
    choices: [structure, sampled, full]
    default: structure
  parts:
    description:
      - Into how many equal parts V(sampled) divides the chunks.
      - All of them one after the other read everything, so a long verification can be done in pieces.
    type: int
    default: 14
    version_added: 1.1.0
  part:
    description: Which part V(sampled) reads, from V(1) on. By default another one each day.
    type: int
    version_added: 1.1.0
seealso:
  - module: agnostic.recovery.image_info
"""

EXAMPLES = r"""
- name: Read and check all that web1's images need
  agnostic.recovery.image_verify:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    machine: web1
    level: full
"""

RETURN = r"""
verified:
  description: What was checked, and what was found. Kept also on failure.
  returned: when the repository could be opened
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
