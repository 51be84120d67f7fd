# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which boot loader a root has, and what it can start.

One reader for each kind of configuration file; each gives `BootEntry` values whose paths are those in the root, whatever
partition the loader counts them from.
"""

import re
import shlex
from typing import NamedTuple, Tuple

from ..errors import MachineError
from .fstab import parse_fstab

GRUB2_FILES = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/grub/custom.cfg", "/boot/grub2/custom.cfg",
               "/boot/efi/[Ee][Ff][Ii]/*/grub.cfg", "/efi/[Ee][Ff][Ii]/*/grub.cfg", "/boot/[Ee][Ff][Ii]/*/grub.cfg")
# Red Hat's GRUB legacy for UEFI reads the file beside it that is called as itself: grub.efi reads grub.conf, BOOTX64.EFI BOOTX64.conf.
GRUB_LEGACY_FILES = ("/boot/grub/menu.lst", "/boot/grub/grub.conf", "/boot/efi/[Ee][Ff][Ii]/*/grub.conf",
                     "/boot/efi/[Ee][Ff][Ii]/[Bb][Oo][Oo][Tt]/[Bb][Oo][Oo][Tt]*.conf")
GRUBENV_FILES = ("/boot/grub/grubenv", "/boot/grub2/grubenv", "/boot/efi/[Ee][Ff][Ii]/*/grubenv", "/efi/[Ee][Ff][Ii]/*/grubenv",
                 "/boot/[Ee][Ff][Ii]/*/grubenv")
# Debian's extlinux keeps its entries in linux.cfg, which extlinux.conf includes.
EXTLINUX_FILES = ("/boot/extlinux/*.conf", "/boot/extlinux/*.cfg", "/extlinux/*.conf", "/boot/extlinux.conf", "/boot/syslinux/*.cfg",
                  "/boot/syslinux/*.conf")
BOOT_FOLDERS = ("/boot", "/efi", "/boot/efi")    # where a boot partition may be mounted
LINUX_COMMANDS = ("linux", "linux16", "linuxefi")
INITRD_COMMANDS = ("initrd", "initrd16", "initrdefi")


class BootEntry(NamedTuple):
    title: str
    kernel: str                       # path in the root
    initrds: Tuple[str, ...] = ()     # paths in the root, in the order in which they are loaded
    options: str = ""                 # kernel command line
    file: str = ""                    # path of the configuration file
    version: str = ""                 # kernel version where the file says it (boot loader specification)


def read_boot_loader(tree):
    """grub2, grub-legacy, systemd-boot, extlinux, or "" if the root shows none of them."""
    if _files(tree, GRUB2_FILES):
        return "grub2"
    if any(tree.glob(folder + "/[Ee][Ff][Ii]/systemd/systemd-boot*.efi") or tree.isfile(folder + "/loader/loader.conf")
           for folder in BOOT_FOLDERS):
        return "systemd-boot"
    if _files(tree, EXTLINUX_FILES):
        return "extlinux"
    return "grub-legacy" if _files(tree, GRUB_LEGACY_FILES) else ""


def read_boot_entries(tree, warn=lambda text: None):
    """Every Linux that the boot loader can start, as a tuple of `BootEntry`, in the order of the files.

    Entries for other systems and loaders are left out. `warn(text)` is told which file could not be read. A kernel named here
    may be missing in the root.
    """
    entries = []
    readers = (
        (GRUB2_FILES, _read_grub2),
        (tuple(folder + "/loader/entries/*.conf" for folder in BOOT_FOLDERS), _read_specification),
        (EXTLINUX_FILES, _read_extlinux),
        (GRUB_LEGACY_FILES, _read_grub_legacy),
    )
    places = _Places(tree)
    for patterns, read in readers:
        for path in _files(tree, patterns):
            try:
                entries.extend(read(tree, path, places))
            except MachineError as error:
                warn(f"A boot loader file is not read: {error}")
    return tuple(dict.fromkeys(entries))


def _files(tree, patterns):
    """Matching regular files; a file that several names lead to is given once."""
    found = {}
    for pattern in patterns:
        for path in tree.glob(pattern):
            if tree.isfile(path):
                found.setdefault(tree.resolve(path), path)
    return tuple(found.values())


class _Places:
    """Turns a loader's paths, which count from some partition, into paths in the root."""

    def __init__(self, tree):
        self._tree = tree
        text = ""
        try:
            text = tree.read_text("/etc/fstab")
        except MachineError:
            pass    # then the files themselves must show where they are
        mounted = {mount.path.rstrip("/") for mount in parse_fstab(text)}
        self._own = [folder for folder in BOOT_FOLDERS if folder in mounted]
        self._shared = [folder for folder in BOOT_FOLDERS if folder not in mounted]

    def find(self, path, base=None):
        """`path` as written, perhaps with a GRUB device in front; `base` is the likeliest mount point of its partition."""
        path = "/" + re.sub(r"^\([^)]*\)", "", path).lstrip("/")
        prefixes = ([base] if base else []) + self._own + [""] + self._shared
        candidates = [prefix + path for prefix in prefixes]
        # On btrfs the path begins with a subvolume: /@/boot/vmlinuz, /@/.snapshots/1/snapshot/boot/vmlinuz
        inside = path.find("/boot/", 1)
        if inside > 0:
            candidates.append(path[inside:])
        for candidate in candidates:
            if self._tree.isfile(candidate):
                return candidate
        return path if path.startswith("/boot/") else "/boot" + path


# GRUB 2

def _read_grub2(tree, path, places):
    """Menu entries at any depth. Conditions are not evaluated: what a menu may show counts as startable."""
    variables = _grub_environment(tree)
    entries = []
    title, kernel, options, initrds = "", "", "", []

    def finish():
        if kernel:
            entries.append(BootEntry(title, kernel, tuple(initrds), options, path))

    for line in tree.read_text(path).split("\n"):
        words = _words(line)
        if not words:
            continue
        command, arguments = words[0], [_expanded(word, variables) for word in words[1:]]
        if command == "set" and arguments:
            name, separator, value = arguments[0].partition("=")
            if separator:
                variables[name] = value
        elif command in ("menuentry", "submenu"):
            finish()
            title, kernel, options, initrds = arguments[0] if arguments else "", "", "", []
        elif command in LINUX_COMMANDS and arguments:
            if initrds or places.find(arguments[0]) != kernel:    # else the other branch of a condition, with one initrd line for both
                finish()
            kernel, options, initrds = places.find(arguments[0]), " ".join(arguments[1:]), []
        elif command in INITRD_COMMANDS:
            initrds.extend(places.find(argument) for argument in arguments if argument)
        elif command in ("multiboot", "multiboot2"):    # Xen: the kernel and its initrd are the modules of the hypervisor
            finish()
            kernel, options, initrds = "", "", []
        elif command in ("module", "module2"):
            arguments = [argument for argument in arguments if argument != "--nounzip"]
            if arguments and kernel:
                initrds.append(places.find(arguments[0]))
            elif arguments:
                kernel, options = places.find(arguments[0]), " ".join(arguments[1:])
    finish()
    return entries


def _words(line):
    if line.lstrip().startswith("#"):
        return []
    try:
        return shlex.split(line)
    except ValueError:    # a quote that goes on in the next line
        return line.split()


def _grub_environment(tree):
    variables = {}
    for path in _files(tree, GRUBENV_FILES):
        for line in tree.read_text(path).split("\n"):
            name, separator, value = line.partition("=")
            if separator and not line.startswith("#"):
                variables[name] = value
    return variables


def _expanded(text, variables):
    """GRUB's $name and ${name}; unknown ones are empty, as they are in GRUB."""
    return re.sub(r"\$(?:\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*))", lambda match: variables.get(match.group(1) or match.group(2), ""), text)


# Boot loader specification: one file for each entry (uapi-group.org, "type #1")

def _read_specification(tree, path, places):
    base = path[:path.index("/loader/entries/")]
    variables = _grub_environment(tree)
    values = {}
    for line in tree.read_text(path).split("\n"):
        key, _blank, value = line.strip().replace("\t", " ").partition(" ")
        if key and not key.startswith("#"):
            values.setdefault(key, []).append(_expanded(value.strip(), variables).strip())
    if "linux" not in values:
        return []
    initrds = [place for value in values.get("initrd", ()) for place in value.split()]
    return [BootEntry(
        title=values.get("title", [""])[-1],
        kernel=places.find(values["linux"][-1], base),
        initrds=tuple(places.find(initrd, base) for initrd in initrds),
        options=" ".join(values.get("options", ())),
        file=path,
        version=values.get("version", [""])[-1],
    )]


# extlinux and syslinux

def _read_extlinux(tree, path, places):
    folder = path.rsplit("/", 1)[0]
    entries = []
    current = {}

    def finish():
        if current.get("kernel"):
            options = current.get("append", "").split()
            initrds = [option[7:] for option in options if option.startswith("initrd=")]
            initrds = [place for text in initrds + [current.get("initrd", "")] for place in text.split(",") if place]
            entries.append(BootEntry(
                title=current.get("title") or current["label"],
                kernel=_extlinux_path(places, folder, current["kernel"]),
                initrds=tuple(_extlinux_path(places, folder, initrd) for initrd in initrds),
                options=" ".join(option for option in options if not option.startswith("initrd=")),
                file=path,
            ))

    for line in tree.read_text(path).split("\n"):
        key, _blank, value = line.strip().replace("\t", " ").partition(" ")
        key, value = key.lower(), value.strip()
        if key == "label":
            finish()
            current = {"label": value}
        elif key in ("kernel", "linux") and "label" in current:
            current["kernel"] = value
        elif key == "menu" and value.lower().startswith("label ") and "label" in current:
            current["title"] = value[6:].replace("^", "").strip()
        elif key in ("append", "initrd") and "label" in current:
            current[key] = value
    finish()
    return [entry for entry in entries if not entry.kernel.endswith((".c32", ".0", ".bin", ".bss"))]


def _extlinux_path(places, folder, path):
    """Relative paths count from the folder of the configuration file."""
    parts = []
    for part in path.split("/") if path.startswith("/") else f"{folder}/{path}".split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return places.find("/" + "/".join(parts))


# GRUB legacy

def _read_grub_legacy(tree, path, places):
    entries = []
    title, kernel, options, initrds = "", "", "", []

    def finish():
        if kernel:
            entries.append(BootEntry(title, kernel, tuple(initrds), options, path))

    for line in tree.read_text(path).split("\n"):
        # "kernel /vmlinuz", but "default=0": the first blank or equal sign ends the command
        match = re.match(r"\s*([a-z]+)(?:\s*=\s*|\s+)(.*)", line)
        if match is None:
            continue
        command, words = match.group(1), match.group(2).split()
        if command == "title":
            finish()
            title, kernel, options, initrds = match.group(2).strip(), "", "", []
        elif command in ("kernel", "module") and words:
            while words and words[0].startswith("--"):
                words.pop(0)
            if not words:
                continue
            place = places.find(words[0])
            # the first module of a Xen hypervisor is the Linux kernel, the second its initrd
            if command == "module" and kernel and not kernel.rsplit("/", 1)[-1].startswith("xen"):
                initrds.append(place)
            else:
                kernel, options = place, " ".join(words[1:])
        elif command == "initrd" and words:
            initrds.extend(places.find(word) for word in words)
    finish()
    return entries
