# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo shop on two machines: `db` has PostgreSQL with the orders, `app` has nginx and the application that shows them.

    python3 two_tier.py SHOP-DISK FOLDER PUBLIC-KEY      makes FOLDER/db.raw and FOLDER/app.raw of the disk of the demo machine

They run in QEMU on the hardware that the demo machine was installed on, until the data centre is lost.
"""

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
DATABASE = "192.0.2.10"
MACHINES = {"db": (DATABASE, "52:54:00:aa:00:01"), "app": ("192.0.2.11", "52:54:00:aa:00:02")}
WANTED = "etc/systemd/system/multi-user.target.wants"


def make(shop, folder, public_key):
    """In a process of its own: it goes into a private mount namespace."""
    from demobuild import data, disk         # pylint: disable=import-outside-toplevel

    disk.private_mounts()
    demo = data.load()
    for name, (address, mac) in MACHINES.items():
        path, root = os.path.join(folder, name + ".raw"), os.path.join(folder, "root")
        subprocess.run(["cp", "--sparse=always", shop, path], check=True)
        with disk.mounted(demo, path, root):
            rewrite(root, "etc/hostname", demo["machine"], name)
            rewrite(root, "etc/hosts", f"{DATABASE} {demo['machine']}", f"{address} {name}")
            rewrite(root, "etc/network/interfaces", DATABASE, address)
            rewrite(root, "etc/udev/rules.d/70-persistent-net.rules", demo["network"]["mac"], mac)
            write(root, "etc/machine-id", uuid.uuid4().hex + "\n")
            os.makedirs(os.path.join(root, "root/.ssh"), mode=0o700, exist_ok=True)
            shutil.copyfile(public_key, os.path.join(root, "root/.ssh/authorized_keys"))
            if name == "db":
                leave_out(root, "nginx.service", "shop.service")
            else:
                leave_out(root, "postgresql.service")
                rewrite(root, "etc/systemd/system/shop.service", "After=network.target postgresql.service\nWants=postgresql.service\n",
                        "After=network.target\n")
                rewrite(root, "etc/shop/shop.ini", "host = 127.0.0.1", "host = " + DATABASE)
                # No row of the page can come from here.
                shutil.rmtree(os.path.join(root, "var/lib/postgresql/15"))


def rewrite(root, path, old, new):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        text = file.read()
    assert old in text, (path, old)
    write(root, path, text.replace(old, new))


def write(root, path, text):
    with open(os.path.join(root, path), "w", encoding="utf-8") as file:
        file.write(text)


def leave_out(root, *services):
    for service in services:
        os.unlink(os.path.join(root, WANTED, service))


class OldSite:
    """Both machines as they run; `vms` by name."""

    def __init__(self, folder, shop):
        self.folder, self.key = folder, os.path.join(folder, "ssh-key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], stdin=subprocess.DEVNULL, check=True)
        subprocess.run(["/usr/bin/python3", "-B", os.path.abspath(__file__), shop, folder, self.key + ".pub"], check=True,
                       env=dict(os.environ, PYTHONPATH=os.path.join(HERE, "..", "demo")))
        self.vms = {}

    @contextlib.contextmanager
    def running(self):
        from live_vm import Vm               # pylint: disable=import-outside-toplevel

        with contextlib.ExitStack() as stack:
            for name, (address, mac) in MACHINES.items():
                # A network for each machine in which it has its address; the application finds the database at the other's.
                nic = f"e1000,mac={mac},net=192.0.2.0/24,host=192.0.2.1,dhcpstart={address}"
                if name != "db":
                    nic += f",guestfwd=tcp:{DATABASE}:5432-cmd:busybox nc 127.0.0.1 {self.vms['db'].sql_port}"
                vm = Vm(os.path.join(self.folder, name), [os.path.join(self.folder, name + ".raw")], self.key, "ahci", nic)
                self.vms[name] = stack.enter_context(vm)
            for vm in self.vms.values():
                vm.wait_for_ssh()
            yield self

    def order(self, item):
        """A customer orders something through the application; returns how the page shows it."""
        script = ("import urllib.request\n"
                  f"print(urllib.request.urlopen('http://127.0.0.1/orders', data={json.dumps(dict(item=item, quantity=3, customer=7)).encode()!r},"
                  " timeout=120).read().decode())")
        return json.loads(self.vms["app"].ssh("python3 -c " + shlex.quote(script)).stdout)["title"]

    def lose(self):
        for name in MACHINES:
            os.unlink(os.path.join(self.folder, name + ".raw"))


if __name__ == "__main__":
    make(*sys.argv[1:])
