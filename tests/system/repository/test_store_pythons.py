# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""S3 with the oldest Python that a source may have, and with the newest boto3: what this repository needs of it, in one process each."""

import json
import os
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.repository.open import open_store

SCRIPT = """
import json, sys
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.open import open_store
with open_store(json.load(sys.stdin)) as store:
    store.create()
    store.put("chunks/ab/x", bytes(100000))
    taken = [store.put_new("images/web/1", content) for content in (b"one", b"one", b"two")]
    read = [len(store.get("chunks/ab/x")), len(store.get("chunks/ab/x", 99990, 10)), store.peek("images/web/1", 2).head.decode()]
    print(json.dumps([taken, read, list(store.list("")), store.size("images/web/2"), store.notes]))
"""


@pytest.mark.parametrize("server", ["s3-ceph-tls", "s3-moto"])
@pytest.mark.parametrize("environment", ["engine-3.6", "engine-3.13", "moto"])
def test_boto3(new_location, environment, server):
    python = os.path.join(os.environ.get("AGNOSTIC_RECOVERY_VENVS", ""), environment, "bin", "python")
    if not os.path.exists(python):
        pytest.skip(f"there is no virtual environment {environment}; tests/tools/system makes it where the machine has that Python")
    location = new_location(server)
    result = subprocess.run([python, "-c", SCRIPT], input=json.dumps(location), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            universal_newlines=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    # The same content twice counts as one writer's: see put_new.
    assert json.loads(result.stdout) == [[True, True, False], [100000, 10, "on"], ["chunks/ab/x", "images/web/1"], None, []]
    with open_store(location) as store:
        assert store.get("images/web/1") == b"one"
