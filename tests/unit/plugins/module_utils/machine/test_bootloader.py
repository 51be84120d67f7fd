# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What boot loaders can start."""

import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.machine.bootloader import BootEntry, read_boot_entries, read_boot_loader
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree

GRUB_CFG = """
if [ -s $prefix/grubenv ]; then
  load_env
fi
set default="0"
function gfxmode {
    set gfxpayload="${1}"
}
set linux_gfx_mode=keep
menuentry 'Debian GNU/Linux' --class debian --class gnu-linux $menuentry_id_option 'gnulinux-simple' {
    load_video
    insmod gzio
    if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
    search --no-floppy --fs-uuid --set=root 1f3e
    echo	'Loading Linux 6.1.0-18-amd64 ...'
    linux	/boot/vmlinuz-6.1.0-18-amd64 root=/dev/sda1 ro  quiet "a b"
    echo	'Loading initial ramdisk ...'
    initrd	/boot/initrd.img-6.1.0-18-amd64
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced' {
    menuentry 'Debian GNU/Linux, with Linux 6.1.0-17-amd64' --class debian {
        linux	/boot/vmlinuz-6.1.0-17-amd64 root=/dev/sda1 ro
        initrd	/boot/ucode.img /boot/initrd.img-6.1.0-17-amd64
    }
}
# linux /boot/commented
menuentry "Windows" {
    chainloader +1
}
"""


@pytest.fixture
def make(tmp_path):
    def make(files):
        for path, text in files.items():
            place = tmp_path / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return Tree(str(tmp_path))
    return make


def touch(*paths):
    return {path: "" for path in paths}


def test_grub2_on_one_partition(make):
    files = touch("boot/vmlinuz-6.1.0-18-amd64", "boot/initrd.img-6.1.0-18-amd64")
    files["boot/grub/grub.cfg"] = GRUB_CFG
    tree = make(files)
    assert read_boot_loader(tree) == "grub2"
    assert read_boot_entries(tree) == (
        BootEntry("Debian GNU/Linux", "/boot/vmlinuz-6.1.0-18-amd64", ("/boot/initrd.img-6.1.0-18-amd64",), "root=/dev/sda1 ro quiet a b",
                  "/boot/grub/grub.cfg"),
        BootEntry("Debian GNU/Linux, with Linux 6.1.0-17-amd64", "/boot/vmlinuz-6.1.0-17-amd64",
                  ("/boot/ucode.img", "/boot/initrd.img-6.1.0-17-amd64"), "root=/dev/sda1 ro", "/boot/grub/grub.cfg"),
    )


def test_grub2_with_a_boot_partition(make):
    files = touch("boot/vmlinuz-5", "boot/initramfs-5.img", "vmlinuz-5")    # a left-over in / must not win
    files["etc/fstab"] = "/dev/sda1 /boot ext4 defaults 0 0\n"
    files["boot/grub2/grub.cfg"] = "menuentry 'x' {\n linux16 /vmlinuz-5 ro\n initrd16 /initramfs-5.img\n}\n"
    assert [(entry.kernel, entry.initrds) for entry in read_boot_entries(make(files))] == [("/boot/vmlinuz-5", ("/boot/initramfs-5.img",))]


@pytest.mark.parametrize("written,found", [
    ("/@/boot/vmlinuz-5", "/boot/vmlinuz-5"),
    ("/@/.snapshots/1/snapshot/boot/vmlinuz-5", "/boot/vmlinuz-5"),
    ("($root)/boot/vmlinuz-5", "/boot/vmlinuz-5"),
    ("(hd0,msdos1)/vmlinuz-5", "/boot/vmlinuz-5"),
    ("${where}/vmlinuz-5", "/boot/vmlinuz-5"),
    ("$where/vmlinuz-$unknown-5", "/boot/vmlinuz--5"),
    ("/vmlinuz-lost", "/boot/vmlinuz-lost"),
    ("/boot/vmlinuz-lost", "/boot/vmlinuz-lost"),
])
def test_paths_of_grub(make, written, found):
    files = touch("boot/vmlinuz-5")
    files["boot/grub/grub.cfg"] = f"set where=/boot\nmenuentry 'x' {{\n linux {written} ro\n}}\n"
    assert [entry.kernel for entry in read_boot_entries(make(files))] == [found]


def test_both_branches_of_a_condition(make):
    text = ("menuentry 'x' {\n if a; then\n linuxefi /boot/k ro\n else\n linux /boot/k ro\n fi\n initrd /boot/i\n}\n"
            "menuentry 'y' {\n if a; then\n linux /boot/k1 ro\n initrd /boot/i1\n else\n linux /boot/k2 ro\n initrd /boot/i2\n fi\n}\n")
    tree = make({"boot/grub/grub.cfg": text})
    assert [(entry.kernel, entry.initrds) for entry in read_boot_entries(tree)] == [
        ("/boot/k", ("/boot/i",)), ("/boot/k1", ("/boot/i1",)), ("/boot/k2", ("/boot/i2",))]


def test_xen_by_grub2(make):
    text = ("menuentry 'Xen' {\n multiboot2 /boot/xen-4.gz\n module2 /boot/vmlinuz-6 placeholder root=/dev/sda1\n"
            " module2 --nounzip /boot/initrd-6\n}\n")
    (entry,) = read_boot_entries(make({"boot/grub/grub.cfg": text}))
    assert (entry.kernel, entry.initrds) == ("/boot/vmlinuz-6", ("/boot/initrd-6",))


def test_boot_loader_specification_of_red_hat(make):
    files = touch("boot/vmlinuz-5.14.0-427.el9.x86_64", "boot/initramfs-5.14.0-427.el9.x86_64.img")
    files["etc/fstab"] = "UUID=x /boot xfs defaults 0 0\n"
    files["boot/grub2/grub.cfg"] = "insmod blscfg\nblscfg\n"
    files["boot/grub2/grubenv"] = "# GRUB Environment Block\nkernelopts=root=/dev/mapper/rl-root ro\n" + "#" * 500
    files["boot/loader/entries/abc-5.14.conf"] = (
        "title Rocky Linux (5.14.0-427.el9.x86_64) 9.4\nversion 5.14.0-427.el9.x86_64\nlinux /vmlinuz-5.14.0-427.el9.x86_64\n"
        "initrd /initramfs-5.14.0-427.el9.x86_64.img $tuned_initrd\noptions $kernelopts crashkernel=1G $tuned_params\ngrub_class rocky\n")
    tree = make(files)
    assert read_boot_loader(tree) == "grub2"
    assert read_boot_entries(tree) == (BootEntry(
        "Rocky Linux (5.14.0-427.el9.x86_64) 9.4", "/boot/vmlinuz-5.14.0-427.el9.x86_64", ("/boot/initramfs-5.14.0-427.el9.x86_64.img",),
        "root=/dev/mapper/rl-root ro crashkernel=1G", "/boot/loader/entries/abc-5.14.conf", "5.14.0-427.el9.x86_64"),)


def test_boot_loader_specification_without_a_boot_partition(make):
    files = touch("boot/vmlinuz-5")
    files["boot/loader/entries/x.conf"] = "title x\nlinux /boot/vmlinuz-5\n"
    assert read_boot_entries(make(files))[0].kernel == "/boot/vmlinuz-5"


def test_systemd_boot(make):
    files = touch("efi/EFI/systemd/systemd-bootx64.efi", "efi/abc/6.8/linux", "efi/abc/6.8/initrd")
    files["efi/loader/entries/abc-6.8.conf"] = (
        "title\tArch\nversion 6.8\nlinux /abc/6.8/linux\ninitrd /amd-ucode.img\ninitrd /abc/6.8/initrd\noptions ro\noptions quiet\n")
    files["efi/loader/entries/windows.conf"] = "title Windows\nefi /EFI/Microsoft/Boot/bootmgfw.efi\n"
    tree = make(files)
    assert read_boot_loader(tree) == "systemd-boot"
    assert [entry[1:] for entry in read_boot_entries(tree)] == [
        ("/efi/abc/6.8/linux", ("/boot/amd-ucode.img", "/efi/abc/6.8/initrd"), "ro quiet", "/efi/loader/entries/abc-6.8.conf", "6.8")]


def test_extlinux(make):
    files = touch("boot/vmlinuz-5", "boot/initrd.img-5", "boot/vmlinuz-4", "boot/initrd.img-4")
    files["boot/extlinux/extlinux.conf"] = (
        "DEFAULT l0\nMENU TITLE U-Boot menu\n\n"
        "LABEL l0\n\tMENU LABEL Debian ^12\n\tLINUX /boot/vmlinuz-5\n\tINITRD /boot/initrd.img-5\n\tAPPEND root=/dev/sda1 ro\n"
        "label old\n  kernel ../vmlinuz-4\n  append initrd=../initrd.img-4 root=/dev/sda1\n\nlabel menu\n  kernel menu.c32\n")
    tree = make(files)
    assert read_boot_loader(tree) == "extlinux"
    assert read_boot_entries(tree) == (
        BootEntry("Debian 12", "/boot/vmlinuz-5", ("/boot/initrd.img-5",), "root=/dev/sda1 ro", "/boot/extlinux/extlinux.conf"),
        BootEntry("old", "/boot/vmlinuz-4", ("/boot/initrd.img-4",), "root=/dev/sda1", "/boot/extlinux/extlinux.conf"),
    )


def test_grub_legacy(make):
    files = touch("boot/vmlinuz-2.6.32", "boot/initramfs-2.6.32.img")
    files["etc/fstab"] = "/dev/sda1 /boot ext3 defaults 1 2\n"
    files["boot/grub/grub.conf"] = (
        "default=0\ntimeout=5\n#title x\n#\tkernel /no\n"
        "title CentOS (2.6.32)\n\troot (hd0,0)\n\tkernel /vmlinuz-2.6.32 ro root=/dev/sda2\n\tinitrd /initramfs-2.6.32.img\n"
        "title Xen\n\troot (hd0,0)\n\tkernel /xen.gz dom0_mem=1G\n\tmodule (hd0,0)/vmlinuz-2.6.32-xen ro\n\tmodule /initrd-2.6.32-xen.img\n"
        "title Other\n\trootnoverify (hd1,0)\n\tchainloader +1\n")
    tree = make(files)
    os.symlink("./grub.conf", os.path.join(tree.root, "boot/grub/menu.lst"))    # the file has two names, and is read once
    assert read_boot_loader(tree) == "grub-legacy"
    entries = read_boot_entries(tree)
    assert [(entry.title, entry.kernel, entry.initrds) for entry in entries] == [
        ("CentOS (2.6.32)", "/boot/vmlinuz-2.6.32", ("/boot/initramfs-2.6.32.img",)),
        ("Xen", "/boot/vmlinuz-2.6.32-xen", ("/boot/initrd-2.6.32-xen.img",)),
    ]
    assert entries[0].options == "ro root=/dev/sda2"


def test_files_that_cannot_be_read_are_told(make):
    tree = make({"boot/grub/grub.cfg": "x" * 9 * 1024 * 1024})
    told = []
    assert read_boot_entries(tree, told.append) == ()
    assert len(told) == 1 and "larger" in told[0]


def test_nothing(make):
    assert read_boot_loader(make({})) == "" and read_boot_entries(make({})) == ()
