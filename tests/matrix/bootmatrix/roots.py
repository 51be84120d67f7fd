# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian roots that machines are made from: one for each suite, and over it a layer for each kernel and initramfs tool.

    <cache>/<suite>/<key>/base            everything but a kernel, with every network manager and boot loader
    <cache>/<suite>-<kernel>-<tool>/<key>/upper   what installing the kernel adds: the upper folder of an overlay mount

A machine is one more layer over both, so that it costs seconds.
"""

import contextlib
import os
import shutil

from demobuild import cache
from demobuild.root import DISABLED, WITHOUT
from demobuild.run import BuildError, chroot, run

from .cases import Source

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = (
    "systemd-sysv", "dbus", "udev", "kmod", "iproute2", "zstd", "xz-utils",
    "ifupdown", "network-manager", "netplan.io",
    "grub-common", "grub2-common", "grub-pc-bin", "grub-efi-amd64-bin", "grub-efi-amd64-signed", "shim-signed",
    "e2fsprogs", "xfsprogs", "btrfs-progs", "lvm2", "dosfstools",
)
# What differs: systemd-boot was part of systemd once, and ISC's DHCP client is gone.
MORE = {
    "bullseye": ("isc-dhcp-client",),
    "bookworm": ("isc-dhcp-client", "systemd-boot"),
    "trixie": ("dhcpcd-base", "systemd-boot"),
    "forky": ("dhcpcd-base", "systemd-boot"),
}
# Half of a kernel's modules, none of them for a disk, a file system or a network card that the matrix has.
LEFT_OUT = ("drivers/gpu", "drivers/media", "drivers/net/wireless", "drivers/staging", "drivers/iio", "drivers/infiniband",
            "drivers/bluetooth", "drivers/isdn", "sound", "net/bluetooth")
EXCLUDED = WITHOUT + tuple(f"{lib}/modules/*/kernel/{folder}/*" for lib in ("/lib", "/usr/lib") for folder in LEFT_OUT)
TOOLS = {"dep": "initramfs-tools", "most": "initramfs-tools", "dracut": "dracut"}
KERNELS = {"amd64": "linux-image-amd64", "cloud": "linux-image-cloud-amd64"}
# The first initramfs is of no use, the machine's own is made later: it need not take minutes.
QUICK = {
    "initramfs-tools": ("etc/initramfs-tools/conf.d/driver-policy", "MODULES=list\n"),
    "dracut": ("etc/dracut.conf.d/quick.conf", 'hostonly="yes"\ncompress="cat"\n'),
}
MANAGERS = ("networking.service", "NetworkManager.service", "NetworkManager-dispatcher.service", "NetworkManager-wait-online.service",
            "systemd-networkd.service", "wpa_supplicant.service")


def lowers(place: str, source: Source, say) -> "list[str]":
    """The folders that lie below the machine, the uppermost first. Builds those that are not in the cache."""
    key = cache.key_of(HERE, ("roots.py",))
    name = f"{source.suite}-{source.kernel}-{TOOLS[source.initramfs]}"

    def base(directory, lock):
        say(f"installing Debian {source.suite}")
        _bootstrap(source.suite, os.path.join(directory, "result", "base"), lock)

    def layer(directory, lock):
        say(f"installing kernel {source.kernel} and {TOOLS[source.initramfs]} over it")
        _install(source, lower, directory, lock)

    lower = os.path.join(cache.ensure(os.path.join(place, source.suite), key, base), "base")
    return [os.path.join(cache.ensure(os.path.join(place, name), key, layer), "upper"), lower]


@contextlib.contextmanager
def merged(folders, upper, work, place):
    """The folders under `upper`, mounted at `place` as one root with /proc and /dev. For processes with private mounts."""
    for folder in (upper, work, place):
        os.makedirs(folder, exist_ok=True)
    done = []
    try:
        run(["mount", "-t", "overlay", "-o", f"lowerdir={':'.join(folders)},upperdir={upper},workdir={work}", "overlay", place])
        done.append(place)
        run(["mount", "-t", "proc", "proc", f"{place}/proc"])
        done.append(f"{place}/proc")
        run(["mount", "--bind", "/dev", f"{place}/dev"])
        done.append(f"{place}/dev")
        yield place
    finally:
        for point in reversed(done):
            run(["umount", point])


def _bootstrap(suite, root, lock):
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--architectures=amd64"]
    # A mirror may be a copy that is no longer refreshed: old packages are as good for a test as new ones.
    command += ['--aptopt=Acquire::Retries "3"', '--aptopt=Acquire::Check-Valid-Until "false"']
    command += ["--dpkgopt=force-unsafe-io"] + [f"--dpkgopt=path-exclude={path}" for path in EXCLUDED]
    command += ["--include=" + ",".join(PACKAGES + MORE[suite]), suite, root]
    run(command, lock=lock)
    chroot(root, ["systemctl", "disable"] + [name for name in DISABLED + MANAGERS if _has_unit(root, name)])


def _has_unit(root, name):
    return any(os.path.exists(os.path.join(root, folder, name)) for folder in ("lib/systemd/system", "usr/lib/systemd/system"))


def _install(source, base, directory, lock):
    """The kernel's own packages; what apt downloaded does not stay."""
    upper = os.path.join(directory, "result", "upper")
    with merged([base], upper, os.path.join(directory, "work"), os.path.join(directory, "root")) as root:
        resolv = os.path.join(root, "etc/resolv.conf")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(resolv)
        shutil.copyfile("/etc/resolv.conf", resolv)
        quick = os.path.join(root, QUICK[TOOLS[source.initramfs]][0])
        os.makedirs(os.path.dirname(quick), exist_ok=True)
        with open(quick, "w", encoding="utf-8") as file:
            file.write(QUICK[TOOLS[source.initramfs]][1])
        apt = ["apt-get", "-q", "-y", "-o", "Acquire::Retries=3", "-o", "Dpkg::Options::=--force-unsafe-io"]
        run(["chroot", root] + apt + ["update"], lock=lock)
        packages = [_kernel_package(root, KERNELS[source.kernel]), TOOLS[source.initramfs]]
        run(["chroot", root] + apt + ["install", "--no-install-recommends"] + packages, lock=lock)
        run(["chroot", root, "apt-get", "clean"])
        os.unlink(quick)
        for folder in ("var/lib/apt/lists", "var/cache/apt"):
            shutil.rmtree(os.path.join(upper, folder), ignore_errors=True)
    if not os.path.isdir(os.path.join(upper, "boot")):
        raise BuildError(f"kernel {source.kernel} of {source.suite} has put nothing into /boot")


def _kernel_package(root, meta):
    """The one that a meta-package stands for: mirrors are seen that lack the meta-packages themselves."""
    words = chroot(root, ["apt-cache", "depends", "--important", meta]).split()
    return next(word for word in words[1:] if word.startswith("linux-image-"))
