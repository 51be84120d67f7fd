# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""fstab: reading, and edits that leave every other byte alone."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.machine import fstab
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Mount

TEXT = (
    "# /etc/fstab: static file system information.\n"
    "\n"
    "/dev/sda1\t/               ext4    errors=remount-ro 0       1\n"
    "  UUID=1234-ABCD /boot/efi vfat umask=0077 0 1   # not a comment for mount, ignored\n"
    "/dev/sda2 none swap sw\n"
    "\t# /dev/sdb1 /old ext4 defaults 0 0\n"
    "LABEL=my\\040data /srv/my\\040data\\134x xfs\n"
    "proc /proc\r\n"
    "lonely\n"
    "//server/share /mnt cifs credentials=/root/c,uid=\\0431 x y"
)


def test_reading():
    assert fstab.parse_fstab(TEXT) == (
        Mount("/dev/sda1", "/", "ext4", "errors=remount-ro", 0, 1),
        Mount("UUID=1234-ABCD", "/boot/efi", "vfat", "umask=0077", 0, 1),
        Mount("/dev/sda2", "none", "swap", "sw"),
        Mount("LABEL=my data", "/srv/my data\\x", "xfs"),
        Mount("proc", "/proc", "auto"),
        Mount("//server/share", "/mnt", "cifs", "credentials=/root/c,uid=#1"),
    )
    assert [index for index, _mount in fstab.parse_fstab_lines(TEXT)] == [2, 3, 4, 6, 7, 9]
    assert fstab.parse_fstab("") == ()


@pytest.mark.parametrize("index,old,new", [
    (2, "/dev/sda1\t/ ", "UUID=x\t/ "),
    (3, "  UUID=1234-ABCD /boot", "  UUID=x /boot"),
    (7, "proc /proc\r\n", "UUID=x /proc\r\n"),
    (9, "//server/share ", "UUID=x "),
])
def test_one_field_is_replaced_and_nothing_else(index, old, new):
    assert TEXT.count(old) == 1
    assert fstab.replace_spec(TEXT, index, "UUID=x") == TEXT.replace(old, new)


def test_a_value_with_blanks_is_escaped():
    text = fstab.replace_spec("a b c\n", 0, "LABEL=my disk")
    assert text == "LABEL=my\\040disk b c\n"
    assert fstab.parse_fstab(text)[0].spec == "LABEL=my disk"


def test_options():
    assert fstab.replace_options(TEXT, 4, "sw,nofail") == TEXT.replace("swap sw\n", "swap sw,nofail\n")
    with pytest.raises(ValueError, match="no field"):
        fstab.replace_options(TEXT, 6, "nofail")


def test_replacing_with_the_same_value_changes_nothing():
    for index, mount in fstab.parse_fstab_lines(TEXT):
        assert fstab.replace_spec(TEXT, index, mount.spec) == TEXT


@pytest.mark.parametrize("spec,expected", [
    ("UUID=abc", ("UUID", "abc")),
    ('LABEL="root disk"', ("LABEL", "root disk")),
    ("PARTUUID='x-01'", ("PARTUUID", "x-01")),
    ("/dev/sda1", ("", "/dev/sda1")),
    ("host:/export=x", ("", "host:/export=x")),
])
def test_what_a_device_field_means(spec, expected):
    assert fstab.split_spec(spec) == expected
