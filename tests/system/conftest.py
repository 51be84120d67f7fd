# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers that tests of several areas use, started once, when the first test asks for them."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

import pytest

CEPH = ("repository/", "modules/test_module_stores.py", "awx/")        # what needs the object store
TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One worker takes all tests of an area, which share what they make, and one all that need Ceph: two of it that start at once are
    too much for two processors.
    """
    from xdist.scheduler import LoadScopeScheduling  # pylint: disable=import-outside-toplevel

    class ByArea(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.partition("::")[0].partition("tests/system/")[2]
            return "Ceph" if path.startswith(CEPH) else path.partition("/")[0]

    return ByArea(config, log)


@pytest.fixture(scope="session", name="radosgw")
def fixture_radosgw():
    """How to reach a Ceph object store, as radosgw-up prints it. AGNOSTIC_RECOVERY_RADOSGW names a file with that, of one that runs."""
    if os.environ.get("AGNOSTIC_RECOVERY_RADOSGW"):
        with open(os.environ["AGNOSTIC_RECOVERY_RADOSGW"], encoding="utf-8") as file:
            yield json.load(file)
        return
    for program in ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin"):
        if not shutil.which(program):
            pytest.skip(f"this machine has no {program}")
    if os.geteuid() != 0:
        pytest.skip("Ceph is started by root only")
    folder = tempfile.mkdtemp(prefix="agnostic-recovery-radosgw-", dir="/var/tmp")
    tool = os.path.join(TOOLS, "radosgw-up")
    try:
        yield json.loads(subprocess.run([tool, "start", folder], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout)
    finally:
        subprocess.run([tool, "stop", folder], stdin=subprocess.DEVNULL, check=True)


@pytest.fixture(scope="session", name="moto")
def fixture_moto():
    """The URL of moto's S3 server."""
    program = os.path.join(os.environ.get("AGNOSTIC_RECOVERY_VENVS", ""), "moto", "bin", "moto_server")
    if not os.path.exists(program):
        pytest.skip("there is no virtual environment with moto; tests/tools/system makes it")
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([program, "-H", "127.0.0.1", "-p", "0"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield _moto_url(process, log)
        finally:
            process.kill()
            process.wait()


def _moto_url(process, log):
    """The server says which port it got, then begins to answer."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        log.seek(0)
        for word in log.read().decode().split():
            if word.startswith("http://127.0.0.1:"):
                urllib.request.urlopen(word, timeout=60).close()
                return word
        time.sleep(0.2)
    raise AssertionError("moto did not start")


@pytest.fixture(scope="session", name="cloud")
def fixture_cloud(tmp_path_factory):
    """An emulated AWS: moto with the extension in tests/aws."""
    python = os.path.join(os.environ.get("AGNOSTIC_RECOVERY_VENVS", ""), "moto", "bin", "python")
    if not os.path.exists(python):
        pytest.skip("there is no virtual environment with moto; tests/tools/system makes it")
    sys.path.insert(0, os.path.join(TOOLS, "..", "aws"))
    emulation = importlib.import_module("emulated_aws")
    with emulation.emulated_aws(python, str(tmp_path_factory.mktemp("aws"))) as cloud:
        yield cloud
