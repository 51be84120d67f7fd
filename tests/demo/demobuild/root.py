# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine's root directory: Debian packages and their configuration, as on a server that was installed on its own hardware."""

import os
import shutil
import uuid
from typing import Any, Dict, List

from .data import HERE, partition
from .run import BuildError, chroot, run

PACKAGES = (
    "systemd-sysv", "dbus", "udev", "kmod", "ifupdown", "iproute2",  # systemd-logind needs dbus and handles the power button
    "linux-image-amd64", "initramfs-tools", "zstd", "grub-pc", "e2fsprogs", "xfsprogs",
    "nginx-light", "openssh-server", "postgresql-15", "python3", "python3-psycopg2",
)
WITHOUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*")
# Periodic work that makes no difference to the demo, but costs boot time in an emulated guest. fstrim would empty the free blocks.
DISABLED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
)
# All storage drivers that the initramfs holds: those of the old hardware and of the root file system.
INITRAMFS_MODULES = ("ahci", "sd_mod", "ext4")
FOREIGN_DRIVERS = ("virtio", "nvme", "xen", "vmw_pvscsi", "hv_storvsc")


def bootstrap(demo: Dict[str, Any], root: str, lock: int) -> None:
    """Installs the packages into root."""
    # In place before the kernel is installed, so that its initramfs is small at once; and so that no cluster is made yet.
    hook = (
        'mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/etc/postgresql-common"'
        ' && echo MODULES=list > "$1/etc/initramfs-tools/conf.d/driver-policy"'
        ' && echo "create_main_cluster = false" > "$1/etc/postgresql-common/createcluster.conf"'
    )
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--architectures=amd64"]
    command += ['--aptopt=Acquire::Retries "3"', "--dpkgopt=force-unsafe-io"] + ["--dpkgopt=path-exclude=" + path for path in WITHOUT]
    command += ["--essential-hook=" + hook, "--include=" + ",".join(PACKAGES), demo["suite"], root]
    run(command, lock=lock)
    # Debian's own settings for the cluster that is made later, which dpkg has left beside ours.
    postgresql = os.path.join(root, "etc/postgresql-common/createcluster.conf")
    os.replace(postgresql + ".ucf-dist", postgresql)


def configure(demo: Dict[str, Any], root: str) -> str:
    """Configures the machine (all but its database); returns the kernel's version."""
    _copy_files(root)
    for path, text in _texts(demo).items():
        _write(root, path, text)
    os.unlink(os.path.join(root, "etc/apt/apt.conf.d/99mmdebstrap"))
    _write(root, "etc/dpkg/dpkg.cfg.d/99mmdebstrap", "".join("path-exclude=%s\n" % path for path in WITHOUT))
    chroot(root, ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "shop"])
    chroot(root, ["chown", "root:shop", "/etc/shop/shop.ini"])
    chroot(root, ["chmod", "640", "/etc/shop/shop.ini"])
    chroot(root, ["chpasswd"], "root:%s\n" % demo["root_password"])
    chroot(root, ["systemctl", "disable"] + list(DISABLED))
    chroot(root, ["systemctl", "enable", "shop.service"])
    enabled = os.path.join(root, "etc/nginx/sites-enabled")
    os.unlink(os.path.join(enabled, "default"))
    os.symlink("/etc/nginx/sites-available/shop", os.path.join(enabled, "shop"))
    kernel = _kernel_version(root)
    _initramfs(root, kernel)
    _grub(demo, root, kernel)
    return kernel


def _copy_files(root: str) -> None:
    files = os.path.join(HERE, "files")
    for parent, _folders, names in os.walk(files):
        target = os.path.join(root, os.path.relpath(parent, files))
        os.makedirs(target, exist_ok=True)
        for name in names:
            shutil.copyfile(os.path.join(parent, name), os.path.join(target, name))
            os.chmod(os.path.join(target, name), 0o644)


def _write(root: str, path: str, text: str) -> None:
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as file:
        file.write(text)


def _texts(demo: Dict[str, Any]) -> Dict[str, str]:
    """The files that hold the demo's values."""
    network, database = demo["network"], demo["database"]
    rule = (
        '# The NIC keeps its name by its MAC address.\n'
        'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{address}=="%s", ATTR{dev_id}=="0x0", ATTR{type}=="1", NAME="%s"\n'
    )
    return {
        "etc/hostname": demo["machine"] + "\n",
        "etc/hosts": "127.0.0.1 localhost\n%s %s\n" % (network["address"], demo["machine"]),
        "etc/resolv.conf": "",
        "etc/machine-id": uuid.uuid4().hex + "\n",
        "etc/fstab": _fstab(demo),
        "etc/udev/rules.d/70-persistent-net.rules": rule % (network["mac"], network["interface"]),
        "etc/network/interfaces": (
            "auto lo\niface lo inet loopback\n\nauto {interface}\niface {interface} inet static\n"
            "    address {address}/{prefix}\n    gateway {gateway}\n"
        ).format(**network),
        "etc/shop/shop.ini": (
            "[http]\nport = {port}\n\n[database]\nhost = 127.0.0.1\nport = {database[port]}\n"
            "dbname = {database[name]}\nuser = {database[user]}\npassword = {database[password]}\n"
        ).format(port=demo["http"]["application_port"], database=database),
        "etc/initramfs-tools/conf.d/resume": "RESUME=%s\n" % partition(demo, "swap")["device"],
        "etc/default/grub": (
            'GRUB_DEFAULT=0\nGRUB_TIMEOUT=1\nGRUB_DISTRIBUTOR="Debian"\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\n'
            'GRUB_CMDLINE_LINUX="%s"\nGRUB_TERMINAL=console\n'
            "GRUB_DISABLE_UUID=true\nGRUB_DISABLE_LINUX_UUID=true\nGRUB_DISABLE_OS_PROBER=true\n"
        ) % _arguments(demo),
    }


def _fstab(demo: Dict[str, Any]) -> str:
    root, data, swap = (partition(demo, content)["device"] for content in ("ext4", "xfs", "swap"))
    return (
        "# <file system> <mount point> <type> <options> <dump> <pass>\n"
        "%s / ext4 errors=remount-ro 0 1\n"
        "%s %s xfs defaults 0 2\n"
        "%s none swap sw 0 0\n"
    ) % (root, data, partition(demo, "xfs")["mount"], swap)


def _arguments(demo: Dict[str, Any]) -> str:
    """Kernel arguments of every boot entry: a server with a screen, without a serial console."""
    return "console=tty0 resume=%s" % partition(demo, "swap")["device"]


def _kernel_version(root: str) -> str:
    versions = os.listdir(os.path.join(root, "usr/lib/modules"))
    if len(versions) != 1:
        raise BuildError("expected one kernel in the machine's root, found: %s" % ", ".join(sorted(versions)))
    return versions[0]


def _initramfs(root: str, kernel: str) -> None:
    """An initramfs as MODULES=dep makes it on the old hardware. MODULES=dep itself would look at the hardware of *this* machine."""
    modules = os.path.join(root, "etc/initramfs-tools/modules")
    with open(modules, encoding="utf-8") as file:
        original = file.read()
    _write(root, "etc/initramfs-tools/modules", original + "".join("%s\n" % name for name in INITRAMFS_MODULES))
    chroot(root, ["update-initramfs", "-u", "-k", kernel])
    # What the machine does when it makes the next one itself: Debian's installer writes this for a "targeted" initramfs.
    _write(root, "etc/initramfs-tools/modules", original)
    _write(root, "etc/initramfs-tools/conf.d/driver-policy", "# Driver inclusion policy selected during installation\nMODULES=dep\n")
    held = chroot(root, ["lsinitramfs", "/boot/initrd.img-" + kernel]).split()
    drivers = {os.path.basename(path).split(".ko")[0].replace("-", "_") for path in held if ".ko" in path}
    foreign = sorted(name for name in drivers if name.startswith(FOREIGN_DRIVERS))
    missing = sorted(set(INITRAMFS_MODULES) - drivers)
    if foreign or missing:
        raise BuildError("the initramfs is not that of the old hardware: has %s, lacks %s" % (foreign, missing))


def _grub(demo: Dict[str, Any], root: str, kernel: str) -> None:
    """/boot/grub as grub-install and update-grub leave it; core.img is put on the disk later."""
    part = partition(demo, "ext4")
    place = "(hd0,gpt%d)" % part["number"]
    platform = os.path.join(root, "boot/grub/i386-pc")
    shutil.copytree(os.path.join(root, "usr/lib/grub/i386-pc"), platform, ignore=shutil.ignore_patterns("*.image", "gdb*", "kernel.img"))
    chroot(root, [
        "grub-mkimage", "--format=i386-pc", "--prefix=%s/boot/grub" % place, "--output=/boot/grub/i386-pc/core.img",
        "biosdisk", "part_gpt", "ext2",
    ])
    chroot(root, ["grub-editenv", "/boot/grub/grubenv", "create"])
    entry = (
        "menuentry '{title}' --class debian --class gnu-linux --class os {{\n"
        "\tinsmod gzio\n\tinsmod part_gpt\n\tinsmod ext2\n\tset root='{place}'\n"
        "\techo 'Loading Linux {kernel} ...'\n"
        "\tlinux /boot/vmlinuz-{kernel} root={device} ro {arguments}\n"
        "\tinitrd /boot/initrd.img-{kernel}\n}}\n"
    )
    values = {"place": place.strip("()"), "kernel": kernel, "device": part["device"]}
    arguments = _arguments(demo)
    config: List[str] = [
        "# Made like update-grub does, with GRUB_DISABLE_UUID=true and GRUB_DISABLE_LINUX_UUID=true.\n",
        "if [ -s $prefix/grubenv ]; then\n\tload_env\nfi\nset default=\"0\"\nterminal_input console\nterminal_output console\nset timeout=1\n",
        entry.format(title="Debian GNU/Linux", arguments=arguments + " quiet", **values),
        entry.format(title="Debian GNU/Linux, with Linux %s (recovery mode)" % kernel, arguments="single " + arguments, **values),
    ]
    _write(root, "boot/grub/grub.cfg", "\n".join(config))
    os.chmod(os.path.join(root, "boot/grub/grub.cfg"), 0o444)
    if "search" in "".join(config) or "UUID=" in values["device"]:
        raise BuildError("the boot loader must find the disk by its place, as the old server does")
