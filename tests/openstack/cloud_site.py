# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator of an OpenStack has before a recovery: flavours, networks, security groups, an image for workers. No server.

    external    198.51.100.0/24   this machine is 198.51.100.1 there; the object store listens on that address
    workers     10.0.2.0/24       behind a router; the worker is 10.0.2.15, as its image has it, and gets a floating IP
    recovered   192.0.2.0/24      like the network that the demo machine comes from; no router, no way out
"""

import subprocess

import openstack

HOST = "198.51.100.1"
FLAVORS = {"tiny": (1, 512, 1), "small": (2, 1024, 8), "volume": (2, 1024, 0), "worker": (2, 2048, 4), "large": (8, 8192, 40)}
PORTS = {"recovered": (80, 5432), "worker": (22,)}


def lists(cloud):
    """All servers, volumes, snapshots, floating addresses, ports, images of the project: what a run must leave as it was."""
    return {
        "servers": sorted(server.name for server in cloud.compute.servers()),
        "volumes": sorted(volume.id for volume in cloud.block_storage.volumes()),
        "snapshots": sorted(snapshot.id for snapshot in cloud.block_storage.snapshots()),
        "addresses": sorted(address.id for address in cloud.network.ips()),
        "ports": sorted(port.id for port in cloud.network.ports() if not port.device_owner.startswith("network:dhcp")),
        "images": sorted(image.id for image in cloud.image.images()),
    }


class Site:
    """`admin` makes what only administrators may; `cloud` is the project in which machines are recovered, with the role member."""

    def __init__(self):
        self.admin = openstack.connect(cloud="admin")
        self.cloud = openstack.connect(cloud="recovery")

    def prepare(self):
        """Returns the id of the network of the recovered machines."""
        for name, (vcpus, ram, disk) in FLAVORS.items():
            self.admin.compute.create_flavor(name=name, vcpus=vcpus, ram=ram, disk=disk)
        network = self.cloud.network.create_network(name="recovered")
        self.cloud.network.create_subnet(network_id=network.id, name="recovered", ip_version=4, cidr="192.0.2.0/24", gateway_ip=None)
        for name, ports in PORTS.items():
            group = self.cloud.network.create_security_group(name=name)
            for port in ports:
                self.cloud.network.create_security_group_rule(
                    security_group_id=group.id, direction="ingress", ether_type="IPv4", protocol="tcp", port_range_min=port, port_range_max=port)
        return network.id

    def connect_host(self):
        """Gives this machine an address in the external network, and the workers' network a router to it."""
        subprocess.run(["ip", "address", "replace", HOST + "/24", "dev", "br-ex"], check=True)
        # The router drops what the kernel leaves in one piece to be cut later, for it is larger than what fits into the workers' network.
        subprocess.run(["ip", "link", "set", "dev", "br-ex", "up", "gso_max_segs", "1"], check=True)
        external = self.admin.network.create_network(name="external", is_router_external=True, provider_network_type="flat",
                                                     provider_physical_network="physnet1")
        self.admin.network.create_subnet(network_id=external.id, name="external", ip_version=4, cidr="198.51.100.0/24", gateway_ip=HOST,
                                         enable_dhcp=False)
        workers = self.cloud.network.create_network(name="workers")
        subnet = self.cloud.network.create_subnet(network_id=workers.id, name="workers", ip_version=4, cidr="10.0.2.0/24", gateway_ip="10.0.2.2")
        router = self.cloud.network.create_router(name="workers", external_gateway_info={"network_id": external.id})
        self.cloud.network.add_interface_to_router(router, subnet_id=subnet.id)

    def upload_worker(self, disk):
        """The image of workers, from a disk of a Debian server. No worker is made of it here."""
        self.cloud.image.create_image(
            name="worker", filename=disk, disk_format="qcow2", container_format="bare", visibility="private", wait=True, timeout=1800,
            use_import=False, hw_disk_bus="scsi", hw_scsi_model="virtio-scsi", hw_vif_model="virtio")
