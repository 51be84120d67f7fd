# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""settle.py catalogue PASSWORD SERVICE=PORT[/PATH]...: makes projects, users, roles and the catalogue in a new Keystone.
settle.py ready SECONDS: waits until agents, scheduler and volume service are alive, and makes the volume type."""

import sys
import time

import openstack

NAMES = {"image": "glance", "placement": "placement", "compute": "nova", "network": "neutron", "volumev3": "cinder", "block-storage": "cinder-storage"}
COMPUTE = {"nova-compute", "nova-conductor", "nova-scheduler"}
VOLUMES = {"cinder-volume", "cinder-scheduler"}
AGENTS = {"neutron-openvswitch-agent", "neutron-dhcp-agent", "neutron-l3-agent"}


def make_catalogue(cloud, password, services):
    keystone = cloud.identity
    roles = {name: keystone.find_role(name) or keystone.create_role(name=name) for name in ("admin", "service", "member")}
    project = keystone.create_project(name="service", domain_id="default")
    for name in ("glance", "placement", "nova", "neutron", "cinder"):
        user = keystone.create_user(name=name, password=password, domain_id="default", default_project_id=project.id)
        for role in (roles["admin"], roles["service"]):
            keystone.assign_project_role_to_user(project, user, role)
    project = keystone.create_project(name="recovery", domain_id="default")
    user = keystone.create_user(name="recovery", password=password, domain_id="default")
    keystone.assign_project_role_to_user(project, user, roles["member"])
    for kind, place in services:
        service = keystone.create_service(type=kind, name=NAMES[kind])
        for interface in ("public", "internal", "admin"):
            keystone.create_endpoint(service_id=service.id, interface=interface, url=f"http://127.0.0.1:{place}", region_id="RegionOne")


def missing(cloud):
    """Names of what is not alive yet."""
    alive = {service.binary for service in cloud.compute.services() if service.state == "up"}
    alive |= {service.binary for service in cloud.block_storage.services() if service.state == "up"}
    alive |= {agent.binary for agent in cloud.network.agents() if agent.is_alive}
    left = (COMPUTE | VOLUMES | AGENTS) - alive
    return left or (set() if list(cloud.compute.hypervisors()) else {"a hypervisor"})


def wait_until_ready(cloud, seconds):
    deadline = time.monotonic() + seconds
    while True:
        try:
            left = missing(cloud)
        except openstack.exceptions.SDKException as error:      # an API that answers may still lack its database or queue
            left = {str(error)}
        if not left:
            break
        if time.monotonic() > deadline:
            sys.exit(f"not alive after {seconds} seconds: {', '.join(sorted(left))}")
        time.sleep(1)
    cloud.block_storage.create_type(name="nfs", extra_specs={"volume_backend_name": "nfs1"})


def main(what, *arguments):
    cloud = openstack.connect(cloud="admin")
    if what == "catalogue":
        make_catalogue(cloud, arguments[0], [argument.split("=", 1) for argument in arguments[1:]])
    else:
        wait_until_ready(cloud, int(arguments[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
