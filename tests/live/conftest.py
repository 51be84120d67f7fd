# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The servers of the live tests."""

import json
import os
import subprocess

import pytest
from live_site import ROOT, Site


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """A Ceph object gateway: how its S3 is reached."""
    tool = os.path.join(ROOT, "tests", "tools", "radosgw-up")
    folder = str(tmp_path_factory.mktemp("store") / "ceph")
    try:
        said = subprocess.run([tool, "start", folder], stdout=subprocess.PIPE, universal_newlines=True, check=True).stdout
        yield json.loads(said)
    finally:
        subprocess.run([tool, "stop", folder], check=True)


@pytest.fixture(scope="session")
def built():
    """The folder of the built machines."""
    return subprocess.run([os.path.join(ROOT, "tests", "live", "build")], stdout=subprocess.PIPE, universal_newlines=True,
                          check=True).stdout.strip()


@pytest.fixture
def site(tmp_path, built, store):
    if os.geteuid():
        pytest.skip("needs root, for loop devices and mounts")
    return Site(str(tmp_path), built, store)
