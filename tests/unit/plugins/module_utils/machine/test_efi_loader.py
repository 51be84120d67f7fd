# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an EFI program is, told by its bytes; real programs of the distribution where they are installed."""

import glob
import os
import shutil
import struct
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.machine.efi_loader import EfiLoader, read_efi_loader

GRUB_FOLDER = "/usr/lib/grub/x86_64-efi"
REAL = (
    ("/usr/lib/shim/shimx64.efi*", "shim"),
    ("/usr/lib/systemd/boot/efi/systemd-bootx64.efi", "systemd-boot"),
    ("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "grub"),
    ("/usr/lib/shim/mmx64.efi*", ""),
    ("/usr/lib/systemd/boot/efi/linuxx64.efi.stub", ""),
)


def test_grub_of_both_word_sizes(grub):
    assert read_efi_loader(grub("/EFI/debian")) == EfiLoader("grub", "/EFI/debian", "")
    assert read_efi_loader(grub("", "normal")) == EfiLoader("grub", "", "normal")
    assert read_efi_loader(grub("(,gpt2)/boot/grub", wide=False)) == EfiLoader("grub", "(,gpt2)/boot/grub", "")


@pytest.mark.parametrize("prefix,config,folder", [
    ("/EFI/debian", "", "/EFI/debian"),
    ("", "", "."),
    ("(,gpt2)/boot/grub", "", ""),
    ("/boot/grub", "search.fs_uuid 1-2 root\nset prefix=($root)/boot/grub\n", ""),
])
def test_where_a_menu_is_needed(grub, prefix, config, folder):
    assert read_efi_loader(grub(prefix, config)).config_folder == folder


def test_shim_names_what_it_starts(shim):
    assert read_efi_loader(shim()) == EfiLoader("shim", second_stages=("grubx64.efi",))
    assert read_efi_loader(shim("grub.efi")).second_stages == ("grub.efi",)


@pytest.mark.parametrize("cut", [0, 1, 2, 10, 60, 64, 68, 72, 80, 90])
def test_a_damaged_program_is_something_else(grub, cut):
    assert read_efi_loader(grub("/EFI/debian")[:cut]).kind == ""


@pytest.mark.parametrize("offset,size", [(0, 100), (24, 2 ** 63), (2 ** 64 - 1, 2 ** 64 - 1), (24, 24), (23, 90)])
def test_impossible_sizes(offset, size):
    assert read_efi_loader(b"MZ" + b"mimg" + struct.pack("<4xQQ", offset, size) + b"\1" * 100).kind == ""


def test_objects_that_overlap_or_end_nowhere():
    area = b"mimg" + struct.pack("<4xQQ", 24, 48) + struct.pack("<II", 0, 0) + struct.pack("<II", 3, 4096) + b"x" * 8
    assert read_efi_loader(b"MZ" + area + b"mimg" * 1000).kind == ""


@pytest.mark.skipif(not os.path.isdir(GRUB_FOLDER), reason="needs grub-efi-amd64-bin")
@pytest.mark.skipif(not shutil.which("grub-mkimage"), reason="needs grub-common")
@pytest.mark.parametrize("prefix", ["/EFI/debian", "(,gpt2)/boot/grub", ""])
def test_what_grub_mkimage_makes(tmp_path, prefix):
    (tmp_path / "load.cfg").write_text("echo hello\n")
    subprocess.run(
        ["grub-mkimage", "-d", GRUB_FOLDER, "-O", "x86_64-efi", "-p", prefix, "-c", "load.cfg", "-o", "grub.efi", "normal", "part_gpt"],
        cwd=str(tmp_path), check=True)
    assert read_efi_loader((tmp_path / "grub.efi").read_bytes()) == EfiLoader("grub", prefix, "echo hello\n")


@pytest.mark.parametrize("pattern,kind", REAL)
def test_real_programs(pattern, kind):
    paths = glob.glob(pattern)
    if not paths:
        pytest.skip("not installed")
    with open(paths[0], "rb") as file:
        assert read_efi_loader(file.read()).kind == kind
