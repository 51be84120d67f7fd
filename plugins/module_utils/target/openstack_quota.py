# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the quotas of a project still allow.

Sources: Nova, "Limits"; Cinder, "Absolute limits"; Neutron, "Quota details extension". -1 stands for no limit in all three.
"""

from typing import Any, Dict, Optional

COMPUTE = {"servers": ("instances", "instances_used"), "cores": ("total_cores", "total_cores_used"), "memory": ("total_ram", "total_ram_used")}
VOLUMES = {"volumes": ("max_total_volumes", "total_volumes_used"), "gigabytes": ("max_total_volume_gigabytes", "total_gigabytes_used")}


def free_quotas(connection: Any) -> Dict[str, Optional[int]]:
    """How many servers, cores, MiB of memory, volumes, GiB of volumes and ports may still be made; None: no limit, or the cloud does not say.

    :param connection: a signed-in openstack.connection.Connection.
    """
    found = _left(connection.compute.get_limits().absolute, COMPUTE)
    found.update(_left(connection.block_storage.get_limits().absolute, VOLUMES))
    found["ports"] = _ports(connection)
    return found


def _left(limits, names):
    return {kind: _difference(getattr(limits, most, None), getattr(limits, used, None)) for kind, (most, used) in names.items()}


def _difference(most, used):
    return None if most is None or used is None or most < 0 else max(0, most - used)


def _ports(connection):
    """Of two that the details tell, `reserved` are about to be used. The policy of a cloud may keep them from members."""
    from openstack import exceptions

    try:
        details = connection.network.get_quota(connection.current_project_id, details=True).ports
    except exceptions.SDKException:
        return None
    if not isinstance(details, dict):
        return None
    return _difference(details.get("limit"), int(details.get("used") or 0) + int(details.get("reserved") or 0))
