# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An emulated AWS for the tests."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "aws"))

import emulated_aws  # noqa: E402  pylint: disable=wrong-import-position


@pytest.fixture(scope="session", name="cloud")
def fixture_cloud(tmp_path_factory):
    python = os.path.join(os.environ.get("AGNOSTIC_RECOVERY_VENVS", ""), "moto", "bin", "python")
    if not os.path.exists(python):
        pytest.skip("there is no virtual environment with moto; tests/tools/system makes it")
    with emulated_aws.emulated_aws(python, str(tmp_path_factory.mktemp("aws"))) as cloud:
        yield cloud
