#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The work is done by the action plugin of the same name.

DOCUMENTATION = r"""
module: engine_info
short_description: Tell what the engine has to work with on a host
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Carries the engine to the host, as every engine job does, and tells which Python runs it and which of its optional libraries are there.
  - It works where the host's Python is too old for the modules of the controller's ansible-core. A host without any Python is told of, and
    is no failure.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.engine_host
attributes:
  action:
    description: Indicates this has a corresponding action plugin so some parts of the options can be executed on the controller.
    support: full
  async:
    description: Supports being used with the C(async) keyword.
    support: none
  check_mode:
    support: full
    details: Carries the engine in either mode.
  diff_mode:
    support: none
options:
  needs:
    description:
      - The libraries that are needed, of which RV(missing) tells the ones that are not there.
      - V(cryptography) for encrypted repositories, V(boto3) for S3, V(openstack) for Swift; V(zstd), the package C(zstandard) or the
        system's libzstd, for smaller images.
    type: list
    elements: str
    choices: [cryptography, zstd, boto3, openstack]
    default: []
seealso:
  - module: agnostic.recovery.image_capture
"""

EXAMPLES = r"""
- name: Can this host write into an encrypted repository?
  agnostic.recovery.engine_info:
    needs: [cryptography, zstd]
  register: dr_host
  failed_when: dr_host.missing | length > 0
  become: true
"""

RETURN = r"""
python:
  description: The Python that runs the engine, or empty.
  returned: success
  type: str
  sample: /usr/libexec/platform-python
missing:
  description: What of O(needs) is not there, and V(python) where there is no Python 3.6 or newer.
  returned: success
  type: list
  elements: str
version:
  description: The version of that Python.
  returned: when there is a Python
  type: str
  sample: "3.6"
platforms:
  description: Platform tags of the wheels that work on the host, the best first. None on hosts without glibc.
  returned: when there is a Python
  type: list
  elements: str
  sample: [manylinux_2_28_x86_64]
libraries:
  description: Whether each library that O(needs) can name is there.
  returned: when there is a Python
  type: dict
  sample: {cryptography: true, zstd: true, boto3: false, openstack: false}
distribution:
  description: C(id), C(like) and C(version) of the host's distribution, from its file C(os-release).
  returned: when there is a Python
  type: dict
hint:
  description: What to do where there is no Python.
  returned: when there is no Python
  type: str
"""
