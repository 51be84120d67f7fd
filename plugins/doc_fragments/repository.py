# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How tasks name a repository and its key."""


class ModuleDocFragment:

    DOCUMENTATION = r"""
options:
  repository:
    description: The repository, as the host that runs the task reaches it.
    type: dict
    required: true
    suboptions:
      type:
        description: What kind of object store it is in.
        type: str
        choices: [directory]
        default: directory
      path:
        description: The folder of a V(directory) repository, an absolute path on the host; may be on NFS.
        type: path
        required: true
  passphrase:
    description:
      - A passphrase that opens the repository, for reading and writing.
      - For an unencrypted repository give neither this nor any other key.
    type: str
  key_file:
    description: A key file that opens the repository, for reading and writing; a path on the host.
    type: path
"""

    CAPTURE_CREDENTIAL = r"""
options:
  capture_credential:
    description:
      - The text that O(agnostic.recovery.repository_init#module:capture_credential_file) holds. It opens the repository for writing only,
        so a source that knows nothing else cannot read any image.
    type: str
"""
