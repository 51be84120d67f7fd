# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The root directory of the live machines: a Debian server with SSH and PostgreSQL."""

import os
import shutil
import uuid

from demobuild.root import DISABLED, WITHOUT
from demobuild.run import BuildError, chroot, run

PACKAGES = (
    "systemd-sysv", "dbus", "udev", "kmod", "iproute2", "openssh-server", "procps",
    "linux-image-amd64", "initramfs-tools", "zstd", "grub-pc", "e2fsprogs", "xfsprogs", "lvm2", "thin-provisioning-tools", "util-linux",
    "postgresql-15", "python3", "python3-cryptography", "python3-zstandard", "python3-boto3",
)
VERSION = "15"
CONFIG = "etc/postgresql/%s/main" % VERSION
TEXTS = {
    # QEMU's user network gives every guest this address.
    "etc/systemd/network/eth0.network": "[Match]\nName=eth0\n\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n",
    "etc/resolv.conf": "",
    # An emulated machine on a busy host takes minutes for what systemd expects within 90 seconds.
    "etc/systemd/system.conf.d/slow.conf": "[Manager]\nDefaultTimeoutStartSec=900s\nDefaultDeviceTimeoutSec=900s\n",
}


def bootstrap(live, root, lock):
    hook = ('mkdir -p "$1/etc/postgresql-common"'
            ' && echo "create_main_cluster = false" > "$1/etc/postgresql-common/createcluster.conf"')
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--architectures=amd64"]
    command += ['--aptopt=Acquire::Retries "3"', "--dpkgopt=force-unsafe-io"] + ["--dpkgopt=path-exclude=" + path for path in WITHOUT]
    command += ["--essential-hook=" + hook, "--include=" + ",".join(PACKAGES), live["suite"], root]
    run(command, lock=lock)
    postgresql = os.path.join(root, "etc/postgresql-common/createcluster.conf")
    os.replace(postgresql + ".ucf-dist", postgresql)


def configure(live, root, public_key):
    """Everything that does not depend on the disks; returns the kernel's version."""
    os.unlink(os.path.join(root, "etc/apt/apt.conf.d/99mmdebstrap"))
    for path, text in TEXTS.items():
        write(root, path, text)
    shutil.copyfile(public_key, ensure(root, "root/.ssh/authorized_keys"))
    os.chmod(os.path.join(root, "root/.ssh"), 0o700)
    chroot(root, ["chpasswd"], "root:%s\n" % live["root_password"])
    chroot(root, ["systemctl", "disable"] + [name for name in DISABLED if name != "dpkg-db-backup.timer"])
    chroot(root, ["systemctl", "enable", "systemd-networkd.service"])
    _database(live["database"], root)
    kernel, = os.listdir(os.path.join(root, "usr/lib/modules"))
    chroot(root, ["update-initramfs", "-u", "-k", kernel])
    platform = os.path.join(root, "boot/grub/i386-pc")
    shutil.copytree(os.path.join(root, "usr/lib/grub/i386-pc"), platform, ignore=shutil.ignore_patterns("*.image", "gdb*", "kernel.img"))
    chroot(root, ["grub-editenv", "/boot/grub/grubenv", "create"])
    return kernel


def _database(database, root):
    chroot(root, ["pg_createcluster", VERSION, "main", "--locale", "C.UTF-8", "--", "--data-checksums", "--auth-host", "scram-sha-256"])
    write(root, CONFIG + "/conf.d/live.conf", "listen_addresses = '*'\ndynamic_shared_memory_type = posix\njit = off\n")
    with open(os.path.join(root, CONFIG, "pg_hba.conf"), "a", encoding="utf-8") as file:
        file.write("host {name} {user} 0.0.0.0/0 scram-sha-256\n".format(**database))
    _sql(root, "postgres", ["CREATE ROLE {user} LOGIN PASSWORD '{password}'".format(**database),
                            "CREATE DATABASE {name} OWNER {user}".format(**database)])
    _sql(root, database["name"], ["CREATE TABLE entries (id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(),"
                                  " filler text NOT NULL)",
                                  "ALTER TABLE entries OWNER TO {user}".format(**database)])


def _sql(root, name, statements):
    """PostgreSQL's single-user mode: no socket, no port, nothing that could meet a server of this machine."""
    data = "/var/lib/postgresql/%s/main" % VERSION
    chroot(root, ["/usr/lib/postgresql/%s/bin/postgres" % VERSION, "--single", "-j", "-D", data, "-c",
                  "config_file=/%s/postgresql.conf" % CONFIG, "-c", "dynamic_shared_memory_type=sysv", "-c", "exit_on_error=true", name],
           "".join(statement + ";\n\n" for statement in statements), user="postgres:postgres")
    if os.path.exists(root + data + "/postmaster.pid"):
        os.unlink(root + data + "/postmaster.pid")


def texts(name, machine, kernel):
    """The files that differ between the machines: {path: text}."""
    volumes, swap = [], ""
    for disk in machine["disks"]:
        device = "/dev/" + disk["file"].split(".")[0]
        volumes += [(part, device + str(part["number"])) for part in disk["parts"]]
        volumes += [(volume, "/dev/mapper/%s-%s" % (disk["group"], volume["name"])) for volume in disk.get("volumes", ())]
    fstab = "# <file system> <mount point> <type> <options> <dump> <pass>\n"
    for volume, device in sorted(volumes, key=lambda pair: pair[0].get("mount", "~")):
        if volume["content"] == "swap":
            swap = device
            fstab += "%s none swap sw 0 0\n" % device
        elif "mount" in volume:
            fstab += "%s %s %s defaults 0 %d\n" % (device, volume["mount"], volume["content"], 1 if volume["mount"] == "/" else 2)
    root = next(device for volume, device in volumes if volume.get("mount") == "/")
    if not swap:
        raise BuildError("machine %s has no swap" % name)
    return {
        "etc/hostname": name + "\n",
        "etc/hosts": "127.0.0.1 localhost %s\n" % name,
        "etc/machine-id": uuid.uuid4().hex + "\n",
        "etc/fstab": fstab,
        "boot/grub/grub.cfg": (
            "set timeout=1\nset default=0\n"
            "menuentry 'Debian GNU/Linux' {{\n\tlinux /boot/vmlinuz-{kernel} root={root} ro net.ifnames=0 console=tty0 console=ttyS0\n"
            "\tinitrd /boot/initrd.img-{kernel}\n}}\n").format(kernel=kernel, root=root),
        "etc/default/grub": 'GRUB_TIMEOUT=1\nGRUB_CMDLINE_LINUX="net.ifnames=0 console=tty0 console=ttyS0"\nGRUB_DISABLE_UUID=true\n',
    }


def ensure(root, path):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    return full


def write(root, path, text):
    with open(ensure(root, path), "w", encoding="utf-8") as file:
        file.write(text)
