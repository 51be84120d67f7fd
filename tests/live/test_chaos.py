# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Captures that are killed with SIGKILL at the worst moments leave the host as it was, and the next one works."""

import json
import os
import time

from live_site import HERE


def leftovers(vm):
    return vm.ssh("lvs --noheadings -o lv_name | grep dr-snap; cat /sys/block/dm-*/dm/name | grep dr-snap; true").stdout


def killed(site, vm, name, moment):
    """A capture that is killed at the moment; what the killer saw."""
    killer = vm.popen("python3 /run/killer.py " + moment)
    output = site.playbook("agnostic.recovery.capture", name, vm, check=False, dr_freeze_limit=600)
    said, _errors = killer.communicate(timeout=1800)
    assert killer.returncode == 0, said
    assert "failed=1" in output
    return json.loads(said)


def test_a_killed_capture_leaves_nothing(site):
    with site.boot("lvm", bus="virtio-blk") as vm:
        with open(os.path.join(HERE, "killer.py"), encoding="utf-8") as file:
            vm.ssh("cat > /run/killer.py <<'EOF'\n" + file.read() + "\nEOF")
        for moment in ("upload", "frozen", "snapshot"):
            print(killed(site, vm, "lvm", moment))
            deadline = time.monotonic() + 300
            while leftovers(vm):
                assert time.monotonic() < deadline, leftovers(vm)
                time.sleep(2)
            vm.ssh("touch /written /var/lib/postgresql/written && sync")
        site.playbook("agnostic.recovery.capture", "lvm", vm, dr_freeze_limit=600)
        assert leftovers(vm) == ""
    assert "failed=0" in site.playbook("agnostic.recovery.verify", "lvm")
