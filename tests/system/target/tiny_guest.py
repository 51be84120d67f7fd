# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small real guests for tests: a boot sector that says hello, and a Linux server of one BIOS disk (Debian's kernel, busybox).

The Linux guest boots through GRUB from the disk it is given, has a noisy serial console with getty and login, a web server, and answers its
power button. Built once and kept in the user's cache directory, some 60 MB with the unpacked kernel package.
"""

import glob
import os
import shutil
import struct
import subprocess
import tempfile

import pytest

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "agnostic.recovery", "tests")
ADDRESS, NETWORK, GATEWAY = "192.0.2.10", "192.0.2.0/24", "192.0.2.1"
USER, PASSWORD = "root", "spaced pass:word"
# busybox mkpasswd -m sha512 -S agnosticdr 'spaced pass:word'
_HASH = "$6$agnosticdr$piCQ7BZ4t6fuQcP74G8BvCf9GOBKEX.IE51u..DyNMjAXzSXIMUJ3tQ9ztTGzD9urIyktO1wYD3rsehRjHCro1"
_VERSION = "5"                      # of the recipe below
_SECTOR = 512
_START = 2048
_KERNEL_PACKAGE = "linux-image-cloud-amd64"
# in the order of their dependencies
_MODULES = ("button", "evdev", "failover", "net_failover", "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev",
            "virtio_pci", "virtio_net")
_APPLETS = {"acpid", "cpio", "getty", "httpd", "insmod", "ip", "login", "poweroff", "wget"}
_INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /bin /proc /sys /dev /tmp /var/log /var/run
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for module in @MODULES@; do insmod /modules/$module.ko; done
hostname tiny
ip link set lo up
ip link set eth0 up
ip addr add @ADDRESS@/24 dev eth0
ip route add default via @GATEWAY@
httpd -p 80 -h /www
acpid
# kernel messages in between all that is said on the console
(while :; do sleep 1; echo "<4>noise: something happened" >/dev/kmsg; done) &
while :; do getty -L 115200 ttyS0 vt100; done
"""
_GRUB = """serial --unit=0 --speed=115200
terminal_output serial
set root=(hd0,msdos1)
linux /vmlinuz console=tty0 console=ttyS0,115200
initrd /initrd
boot
"""
# cli; ds = ss = 0; sp = 0x7c00; each character to the first serial port (0x3f8) and to the screen (int 10h, ah = 0x0e); hlt
_HELLO = bytes.fromhex("fa31c08ed88ed0bc007cbe227cac84c0740dbaf803eeb40ebb0700cd10ebeef4ebfd") + b"hello\r\n\0"


def hello_disk(path):
    """A disk whose boot sector prints "hello" and halts."""
    with open(path, "wb") as disk:
        disk.write(_HELLO.ljust(510, b"\0") + b"\x55\xaa")
        disk.truncate(1 << 20)


def require_qemu():
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("this machine has no QEMU (package qemu-system-x86)")


def linux_disk(path):
    """Copies the Linux guest's disk to `path`, building it first where the cache has none. Skips where the machine lacks a program."""
    require_qemu()
    cached = os.path.join(CACHE, f"tiny-{_VERSION}.raw")
    if not os.path.exists(cached):
        _build(cached)
    shutil.copyfile(cached, path)


def _build(target):
    missing = [name for name in ("grub-mkimage", "mke2fs", "dpkg-deb", "apt-get") if not shutil.which(name)]
    missing += [] if os.path.exists("/usr/lib/grub/i386-pc/boot.img") else ["grub-pc-bin"]
    missing += [] if _has_static_busybox() else ["busybox-static"]
    if missing:
        pytest.skip(f"this machine lacks {', '.join(missing)} to build the Linux test guest")
    os.makedirs(CACHE, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        kernel = _kernel(os.path.join(work, "kernel"))
        tree = os.path.join(work, "tree")
        os.makedirs(tree)
        shutil.copyfile(glob.glob(os.path.join(kernel, "boot", "vmlinuz-*"))[0], os.path.join(tree, "vmlinuz"))
        _initramfs(os.path.join(work, "initramfs"), kernel, os.path.join(tree, "initrd"))
        disk = os.path.join(work, "disk.raw")
        _disk(disk, tree, work)
        os.replace(disk, target)


def _has_static_busybox():
    path = shutil.which("busybox")
    if not path:
        return False
    with open(path, "rb") as stream:
        static = b"/ld-linux" not in stream.read(4096)          # the program's interpreter stands near its beginning
    return static and _APPLETS <= set(subprocess.run([path, "--list"], check=True, stdout=subprocess.PIPE).stdout.decode().split())


def _kernel(folder):
    os.makedirs(folder)
    try:
        depends = subprocess.run(["apt-cache", "depends", "--important", _KERNEL_PACKAGE], check=True, stdout=subprocess.PIPE,
                                 universal_newlines=True)
        package = next(line.split()[-1] for line in depends.stdout.splitlines() if "linux-image-" in line and "Depends:" in line)
        subprocess.run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package], check=True, cwd=folder,
                       stderr=subprocess.DEVNULL)
    except (subprocess.CalledProcessError, StopIteration):
        pytest.skip(f"no Debian package source on this machine gives {_KERNEL_PACKAGE}")
    subprocess.run(["dpkg-deb", "-x", glob.glob(os.path.join(folder, "*.deb"))[0], folder], check=True)
    return folder


def _write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(path, mode)


def _initramfs(root, kernel, target):
    init = _INIT.replace("@MODULES@", " ".join(_MODULES)).replace("@ADDRESS@", ADDRESS).replace("@GATEWAY@", GATEWAY)
    _write(os.path.join(root, "init"), init, 0o755)
    _write(os.path.join(root, "etc", "passwd"), "root:x:0:0:root:/:/bin/sh\n")
    _write(os.path.join(root, "etc", "shadow"), f"root:{_HASH}:20000:0:99999:7:::\n", 0o600)
    _write(os.path.join(root, "etc", "group"), "root:x:0:\n")
    _write(os.path.join(root, "etc", "issue"), "Tiny Linux \\n \\l\n")
    # what a modern shell does to a terminal: bracketed paste, colours, a title
    _write(os.path.join(root, "etc", "profile"),
           "printf '\\033[?2004h'\nPS1=\"$(printf '\\033]0;tiny\\007\\033[01;32mroot@tiny\\033[00m:~# ')\"\n"
           "echo 'Last login: Sun Nov 22 on ttyS0'\n")
    _write(os.path.join(root, "etc", "acpi", "PWRF", "00000080"), "#!/bin/sh\npoweroff -f\n", 0o755)
    _write(os.path.join(root, "www", "index.html"), "<h1>Tiny shop</h1> 3 rows\n")
    os.makedirs(os.path.join(root, "bin"))
    shutil.copy(shutil.which("busybox"), os.path.join(root, "bin", "busybox"))
    os.makedirs(os.path.join(root, "modules"))
    for name in _MODULES:
        found = glob.glob(os.path.join(kernel, "lib", "modules", "*", "kernel", "**", name + ".ko"), recursive=True)
        shutil.copy(found[0], os.path.join(root, "modules"))
    names = subprocess.run(["find", "."], cwd=root, check=True, stdout=subprocess.PIPE).stdout
    with open(target, "wb") as stream:
        subprocess.run(["busybox", "cpio", "-o", "-H", "newc"], cwd=root, check=True, input=names, stdout=stream, stderr=subprocess.DEVNULL)


def _disk(disk, tree, work):
    """MBR, GRUB in the gap behind it, one ext2 partition."""
    config, core, part = (os.path.join(work, name) for name in ("grub.cfg", "core.img", "part.img"))
    _write(config, _GRUB)
    subprocess.run(["grub-mkimage", "-O", "i386-pc", "-p", "/boot/grub", "-c", config, "-o", core,
                    "biosdisk", "part_msdos", "ext2", "linux", "serial", "terminal", "normal"], check=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext2", "-d", tree, part, "32M"], check=True, stdout=subprocess.DEVNULL)
    sectors = os.path.getsize(part) // _SECTOR
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", _START, sectors)
    with open(disk, "wb") as stream:
        with open("/usr/lib/grub/i386-pc/boot.img", "rb") as boot, open(core, "rb") as loader:
            stream.write(boot.read(440).ljust(446, b"\0") + entry.ljust(64, b"\0") + b"\x55\xaa" + loader.read())
        with open(part, "rb") as content:
            stream.seek(_START * _SECTOR)
            shutil.copyfileobj(content, stream)
