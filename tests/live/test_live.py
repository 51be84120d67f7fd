# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers, captured while they work, through the collection's playbook over SSH, into a real S3 server; recovered, booted, compared.

Takes tens of minutes where there is no KVM.
"""

import live_thin
import pytest
from live_ledger import Ledger, rows_of
from live_volumes import check_file_systems

FREEZE_LIMIT = 600        # seconds: an emulated machine reads and sends some MiB a second. What it took is printed.
CHURN = ("nohup sh -c 'mkdir -p /srv/churn; n=0; while :; do n=$((n+1)); dd if=/dev/urandom of=/srv/churn/$((n % 40)) bs=64k count=8 "
         "conv=fsync status=none; sleep 2; done' >/dev/null 2>&1 &")


def capture_under_load(site, name, **hardware):
    """Capture the machine while it works; returns what was written to its database meanwhile, and to its thin volume, if it has one."""
    thin = name == "lvm"
    with site.boot(name, **hardware) as vm:
        vm.ssh(CHURN)
        if thin:
            live_thin.begin(vm)
        with Ledger(vm.sql_port, site.live["database"]) as ledger:
            ledger.wait_for(100)
            site.playbook("agnostic.recovery.capture", name, vm, dr_freeze_limit=FREEZE_LIMIT)
            ledger.wait_for(sum(len(rows) for rows in ledger.committed) + 20)
            assert_nothing_left(vm)
        written = live_thin.lines(vm) if thin else []
    assert ledger.error is None
    return ledger, written


def assert_nothing_left(vm):
    """Nothing of the capture is left on the source: no snapshot, no reserve, nothing frozen."""
    assert "dr-snap" not in vm.ssh("lvs --noheadings -o lv_name; ls /sys/block/dm-*/dm/name 2>/dev/null | xargs -r cat").stdout
    vm.ssh("touch /thawed /var/lib/postgresql/thawed && sync")


def assert_recovered(site, vm, ledger, image):
    """The machine came up by itself, and its database holds what had been committed and nothing younger."""
    window = image["evidence"]["window"]
    rows = rows_of(vm, site.live["database"])
    assert ledger.before(window["began"]) - rows == set()
    assert rows & ledger.after(window["ended"]) == set()
    assert len(rows) >= 100
    log = vm.ssh("cat /var/log/postgresql/*.log").stdout.split("database system was interrupted")[-1]
    assert "redo done" in log and "ready to accept connections" in log
    assert not any(word in log for word in ("PANIC", "FATAL:  could not", "invalid page", "corrupt"))
    checks = vm.ssh("journalctl -b --no-pager -u 'systemd-fsck*' -u 'systemd-fsck-root*'; dmesg").stdout
    assert "RUN fsck MANUALLY" not in checks and "recovery required" not in checks and "I/O error" not in checks
    assert vm.ssh("systemctl --failed --no-legend").stdout.strip() == ""


def report(name, image):
    evidence = image["evidence"]
    print(f"\n{name}: {image['used'] >> 20} MiB used, {image['stored_new'] >> 20} MiB stored in {image['seconds']:.0f} s")
    for item in evidence["file_systems"]:
        print(f"  {item['path']} ({item['kind']}) stood still for {item['seconds']:.3f} s")
    for number, item in enumerate(evidence["passes"], 1):
        print(f"  pass {number}: {item['bytes'] >> 20} MiB in {item['seconds']:.1f} s")


# LVM is opened by libguestfs, in an appliance of its own.
@pytest.mark.parametrize("name, source", [("lvm", {"bus": "virtio-blk"}), ("plain", {"bus": "ahci", "nic": "e1000"})], ids=["lvm", "plain"])
def test_a_server_is_captured_while_it_works(site, name, source):
    ledger, written = capture_under_load(site, name, **source)
    disks = site.recover(name, "kvm")
    image = site.image(name)
    report(name, image)
    assert image["consistency"] == "filesystem"
    assert check_file_systems(disks, ["ext4"]) == ["ext4"]
    with site.boot_from(disks, bus="virtio-scsi") as vm:
        vm.wait_for_ssh()
        assert_recovered(site, vm, ledger, image)
        if written:
            assert {"vg1/pool_tmeta", "vg1/pool_tdata"} < {volume["name"] for volume in image["evidence"]["snapshots"]["volumes"]}
            live_thin.check(vm, written, image["evidence"]["window"])
        vm.power_off()
    assert sorted(check_file_systems(disks, ["ext4", "xfs"])) == ["ext4", "xfs"]
