# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the engine is used on a host."""


class ModuleDocFragment:

    DOCUMENTATION = r"""
options:
  job_dir:
    description:
      - Folder on the host for the engine and the state of its jobs. It is made if it is missing, with access for its owner only.
      - The default is C(/var/lib/agnostic.recovery/jobs) for root and C(~/.agnostic.recovery/jobs) for other users.
    type: path
  python:
    description:
      - The Python on the host that runs the engine; 3.6 or newer.
      - By default C(ansible_python_interpreter) is tried, if it is a path that exists, then C(python3), C(/usr/bin/python3),
        C(/usr/libexec/platform-python) and C(python3.14) to C(python3.6). Of those that work, the first that has the libraries
        C(cryptography) and C(zstandard) is taken, or else the one that has most of them. An encrypted repository needs C(cryptography).
    type: path
  wheels:
    description:
      - A folder on the controller with wheels for the host's Python and platform, of libraries that the host has not got. They are
        carried to the host, into a folder of their own below O(job_dir), and the engine finds them before those of the host. The
        host's own Python environment stays as it is.
      - The role P(agnostic.recovery.capture#role) fills such a folder.
    type: path
    version_added: 1.1.0
"""
