# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the checkout importable as ansible_collections.agnostic.recovery where ansible-test has not done so."""

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile


def _installed():
    try:
        return importlib.util.find_spec("ansible_collections.agnostic.recovery.plugins") is not None
    except ImportError:
        return False


if not _installed():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    tree = tempfile.mkdtemp(prefix="agnostic-recovery-tests-")
    atexit.register(shutil.rmtree, tree, ignore_errors=True)
    os.makedirs(os.path.join(tree, "ansible_collections", "agnostic"))
    os.symlink(root, os.path.join(tree, "ansible_collections", "agnostic", "recovery"))
    sys.path.insert(0, tree)
    # Child processes started by tests (ansible, the engine) find the collection the same way.
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = tree + os.pathsep + os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")
    os.environ["PYTHONPATH"] = tree + os.pathsep + os.environ.get("PYTHONPATH", "")
