# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Target profiles are sound data."""

import re

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import FixupError
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import agents, cloud_init
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.drivers import NETWORK_DRIVERS, STORAGE_DRIVERS
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import PROFILES, all_disk_drivers, get_profile


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_profile(name):
    profile = get_profile(name)
    assert profile.name == name and profile.buses and profile.nic_drivers and profile.sources
    assert set(profile.firmware) <= {"bios", "uefi"} and profile.firmware
    assert re.match(r"(ttyS\d+,\d+)?\Z", profile.console)
    # The machine model must know these drivers, so that a capture tells where the machine can be recovered.
    assert set(profile.disk_drivers) <= STORAGE_DRIVERS
    assert set(profile.nic_drivers) <= NETWORK_DRIVERS
    assert set(profile.disk_drivers) <= set(all_disk_drivers())
    # "None" last: a search that finds nothing ends there, and cloud-init does not wait.
    assert profile.datasources[-1] == "None" and set(profile.datasources) <= set(cloud_init.DATASOURCES)
    assert profile.agents and set(profile.agents) <= {agent.name for agent in agents.AGENTS}
    assert profile.cpu_level in (0, 1, 2, 3, 4)


def test_unknown_profile_names_the_known():
    with pytest.raises(FixupError, match="kvm"):
        get_profile("moon")
