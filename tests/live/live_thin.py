# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A thin volume in a guest, and what is written to it line by line while the guest is captured.

The group is made with the disk; pool and volume need a kernel with device mapper, so the guest makes them.
"""

VOLUME = "/dev/vg1/data"
MAKE = ("lvcreate --quiet --yes --type thin-pool --size 256m --name pool vg1 && lvcreate --quiet --yes --virtualsize 1g --thinpool pool --name data vg1"
        f" && mkfs.ext4 -q -E nodiscard {VOLUME} && mkdir -p /srv/thin && mount {VOLUME} /srv/thin && : > /srv/thin/log")
# Each line has its number and the time at which it was about to be written; it is on the disk before the next one is begun.
WRITE = ("nohup sh -c 'n=0; while :; do n=$((n+1)); echo $n $(date +%s.%N) >> /srv/thin/log; sync /srv/thin/log; "
         "dd if=/dev/urandom of=/srv/thin/noise-$((n % 50)) bs=64k count=2 status=none; done' >/dev/null 2>&1 &")


def begin(vm):
    vm.ssh(MAKE)
    vm.ssh(WRITE)


def lines(vm):
    """[(number, seconds since 1970)] of the volume as it is mounted."""
    return [(int(number), float(at)) for number, at in (line.split() for line in vm.ssh("cat /srv/thin/log").stdout.splitlines())]


def check(vm, written, window):
    """The recovered volume holds all lines that were on the disk when the freeze began, and none that was begun after it had ended."""
    assert "data" in vm.ssh("vgchange --quiet -ay vg1 && lvs --noheadings -o lv_name vg1").stdout
    vm.ssh(f"fsck.ext4 -f -n {VOLUME} && mkdir -p /srv/thin && mount {VOLUME} /srv/thin")
    found = lines(vm)
    assert found == written[:len(found)]
    assert not found or found[-1][1] <= window["ended"]
    done = [line for line, following in zip(written, written[1:]) if following[1] < window["began"]]
    assert len(found) >= len(done) > 20
