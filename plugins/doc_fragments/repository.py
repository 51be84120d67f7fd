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
  passphrase_command:
    description:
      - A program with its arguments that prints the passphrase, such as V([pass, show, recovery]). It is run on the host, without a
        shell, and has a minute to end.
    type: list
    elements: str
    version_added: 1.1.0
  key_file:
    description: A key file that opens the repository, for reading and writing; a path on the host.
    type: path
  recovery_key:
    description:
      - The key of a recovery kit as it is printed, see M(agnostic.recovery.recovery_kit). Case, spaces and line breaks do not
        matter; a typing error is told with its line.
    type: str
    version_added: 1.1.0
  key_command:
    description:
      - A program with its arguments that unwraps the secret of a command slot, as a key service or token does. It is run on the
        host, without a shell, and has a minute to end. What was wrapped is given on standard input, the
        secret is expected on standard output.
      - See M(agnostic.recovery.repository_key) for how such a slot is made.
    type: list
    elements: str
    version_added: 1.1.0
"""

    CAPTURE_CREDENTIAL = r"""
options:
  capture_credential:
    description:
      - The text that O(agnostic.recovery.repository_init#module:capture_credential_file) holds. It opens the repository for writing only,
        so a source that knows nothing else cannot read any image.
    type: str
"""
