# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The OpenStack that a module talks to."""


class ModuleDocFragment:

    DOCUMENTATION = r"""
options:
  cloud:
    description:
      - An entry of C(clouds.yaml) on the host that runs the module.
      - Without it the OS_ variables of that host's environment count.
    type: str
    default: ''
requirements:
  - openstacksdk 1.0.0 or newer on the host that runs the module
"""
