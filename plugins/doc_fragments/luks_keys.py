# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the keys of LUKS volumes are given."""


class ModuleDocFragment:

    DOCUMENTATION = r"""
options:
  luks_keys:
    description:
      - Keys of the LUKS volumes that are to be opened. They are in no command line, and are kept nowhere.
      - A volume without a key here stays locked; the module fails only where something needed lies in it.
      - The recovered machine unlocks its volumes as it always did, so it may ask for a passphrase at its console.
    type: list
    elements: dict
    default: []
    suboptions:
      volume:
        description: UUID of the LUKS volume, or its name such as V(sda3) or V(/dev/vg0/vault). Without it the key is tried on each.
        type: str
      passphrase:
        description: A passphrase of the volume.
        type: str
      key_file:
        description: File on the worker whose content opens the volume, one line of text without a line feed at its end.
        type: path
"""
