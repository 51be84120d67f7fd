# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The serial console in boot entries and what makes them."""

import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import serial_console


def planned(machine, **options):
    draft = Draft(machine.tree)
    serial_console.plan(machine.inspect(**options), draft)
    return draft


def test_grub_entries_and_settings(machine):
    draft = planned(machine)
    text = draft.read_text("/boot/grub/grub.cfg")
    assert "root=/dev/sda2 ro  quiet console=tty0 console=ttyS0,115200\n" in text
    assert text.index("terminal_output --append serial") < text.index("menuentry")
    settings = draft.read_text("/etc/default/grub")
    assert 'GRUB_CMDLINE_LINUX="resume=/dev/sda3 console=tty0 console=ttyS0,115200"\n' in settings
    assert 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n' in settings and "GRUB_SERIAL_COMMAND" in settings


def test_a_console_that_is_there_stays(machine):
    line = "menuentry x {\n linux /vmlinuz root=/dev/sda2 console=ttyS0,9600n8 quiet\n}\n"
    machine.write("/boot/grub/grub.cfg", line)
    assert " linux /vmlinuz root=/dev/sda2 console=ttyS0,9600n8 quiet\n" in planned(machine).read_text("/boot/grub/grub.cfg")


def test_grub_without_its_serial_module_is_left(machine):
    os.unlink(machine.path + "/boot/grub/i386-pc/serial.mod")
    assert "terminal_output --append" not in planned(machine).read_text("/boot/grub/grub.cfg")


@pytest.mark.parametrize("settings", ["GRUB_TIMEOUT=1\n", "GRUB_TIMEOUT=1", ""])
def test_settings_without_a_command_line(machine, settings):
    machine.write("/etc/default/grub", settings)
    text = planned(machine).read_text("/etc/default/grub")
    assert 'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"\n' in text and text.startswith(settings)


def test_a_chosen_terminal_stays(machine):
    machine.write("/etc/default/grub", 'GRUB_TERMINAL="gfxterm"\nGRUB_CMDLINE_LINUX=""\n')
    assert (
        planned(machine).read_text("/etc/default/grub")
        == 'GRUB_TERMINAL="gfxterm"\nGRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"\n'
    )


@pytest.mark.parametrize(
    "path,before,after",
    [
        (
            "/boot/loader/entries/a.conf",
            "linux /v\noptions $kernelopts ro\n",
            "linux /v\noptions $kernelopts ro console=tty0 console=ttyS0,115200\n",
        ),
        (
            "/boot/extlinux/extlinux.conf",
            "label l\n linux /v\n append ro quiet\n",
            "label l\n linux /v\n append ro quiet console=tty0 console=ttyS0,115200\n",
        ),
        (
            "/boot/grub/menu.lst",
            "title x\nkernel --type=linux /v ro\n",
            "title x\nkernel --type=linux /v ro console=tty0 console=ttyS0,115200\n",
        ),
        ("/etc/kernel/cmdline", "quiet\n", "quiet console=tty0 console=ttyS0,115200\n"),
    ],
)
def test_other_boot_loaders(machine, path, before, after):
    machine.write(path, before)
    assert planned(machine).read_text(path) == after


def test_system_v_init(machine):
    os.unlink(machine.path + "/usr/lib/systemd/systemd-udevd")
    machine.write("/etc/inittab", "id:2:initdefault:\n#T0:23:respawn:/sbin/getty -L ttyS0 9600 vt100\n")
    machine.write("/etc/securetty", "tty1\n")
    draft = planned(machine)
    assert draft.read_text("/etc/inittab").endswith("T0:2345:respawn:/sbin/getty -L ttyS0 115200 vt100\n")
    assert draft.read_text("/etc/securetty") == "tty1\nttyS0\n"


def test_a_target_without_serial_console(machine):
    assert planned(machine, target="vmware").changes == []
    assert serial_console.verify(machine.inspect(target="vmware")) == []
    assert len(serial_console.verify(machine.inspect())) == 1
