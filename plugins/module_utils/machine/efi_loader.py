# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an EFI program is that starts Linux, told by its own bytes: its file name says little once it is called BOOTX64.EFI.

GRUB: grub-mkimage puts a module area into the program (grub include/grub/kernel.h: struct grub_module_info64 and _info32, a list of
struct grub_module_header); in it are the built-in configuration and the prefix, the folder where GRUB looks for grub.cfg.
shim: the names of the programs that it starts are UTF-16 strings (shim.c: FALLBACK and DEFAULT_LOADER).
systemd-boot: a marker with its version (systemd src/boot/efi/boot.c, section .sdmagic).
"""

import struct

from typing import NamedTuple, Tuple

GRUB_MAGIC = b"mimg"                      # GRUB_MODULE_MAGIC, 0x676d696d
OBJECT_CONFIG, OBJECT_PREFIX = 2, 3       # enum grub_module_type: OBJ_TYPE_CONFIG, OBJ_TYPE_PREFIX
SYSTEMD_BOOT_MARK = b"#### LoaderInfo: systemd-boot "
SHIM_FALLBACKS = ("\\fb", "\\fallback.efi")
SHIM_KEYS = "MokList"
SECOND_STAGES = ("grubx64.efi", "grubia32.efi", "grubaa64.efi", "grub.efi")


class EfiLoader(NamedTuple):
    kind: str                             # shim grub systemd-boot, "": something else
    prefix: str = ""                      # of grub: "/EFI/debian", "(,gpt2)/boot/grub", "": the folder of the program itself
    config: str = ""                      # of grub: what it runs first
    second_stages: Tuple[str, ...] = ()   # of shim: names of what it may start, in its own folder

    @property
    def config_folder(self) -> str:
        """Where on its own partition a GRUB needs a grub.cfg: "/EFI/debian", "." for its own folder; "" when it finds one by itself."""
        if self.kind != "grub" or self.prefix.startswith("(") or "set prefix" in self.config:
            return ""
        return self.prefix or "."


def read_efi_loader(data: bytes) -> EfiLoader:
    """Never raises: what is damaged is something else."""
    if data[:2] != b"MZ":
        return EfiLoader("")
    if SYSTEMD_BOOT_MARK in data:
        return EfiLoader("systemd-boot")
    if _holds(data, SHIM_KEYS) and any(_holds(data, name) for name in SHIM_FALLBACKS):
        return EfiLoader("shim", second_stages=tuple(name for name in SECOND_STAGES if _holds(data, "\\" + name)))
    at = data.find(GRUB_MAGIC)
    while at >= 0:
        objects = _objects(data, at)
        if OBJECT_PREFIX in objects:
            return EfiLoader("grub", objects[OBJECT_PREFIX], objects.get(OBJECT_CONFIG, ""))
        at = data.find(GRUB_MAGIC, at + 1)
    return EfiLoader("")


def _holds(data, text):
    return text.encode("utf-16-le") in data


def _objects(data, at):
    """type -> text of the configuration and the prefix in the module area at `at`, empty where none begins there."""
    for form in ("<4xQQ", "<II"):                                  # 64-bit programs, 32-bit programs
        start = at + len(GRUB_MAGIC)
        if start + struct.calcsize(form) > len(data):
            continue
        offset, size = struct.unpack_from(form, data, start)
        end = at + size
        if not struct.calcsize(form) + 4 <= offset < size or end > len(data):
            continue
        found, position = {}, at + offset
        while position + 8 <= end:
            kind, length = struct.unpack_from("<II", data, position)
            if length < 8 or position + length > end:
                break
            if kind in (OBJECT_CONFIG, OBJECT_PREFIX):
                found[kind] = data[position + 8:position + length].split(b"\0", 1)[0].decode("utf-8", "replace")
            position += length
        if found:
            return found
    return {}
