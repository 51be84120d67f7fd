# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A recovered machine with cloud-init stays who it is.

On the target the instance-id is another one, and so cloud-init takes the machine for new: it would make new SSH host keys, set the
metadata's host name, add and lock users, write the network, mirrors and locale of the new place, wait minutes for a metadata service
that is not there. A drop-in turns that off and names the data sources that the target has. Nothing is cleaned: what the machine knows of
its old instance serves the way back.

Keys: cloud-init documentation, module reference (cc_ssh, cc_set_hostname, cc_users_groups, cc_set_passwords, cc_apt_configure,
cc_locale, cc_update_etc_hosts, cc_package_update_upgrade_install) and "Network configuration". Files in cloud.cfg.d are read in the
order of their names and the last one wins, hence the name of ours. tools/ds-identify reads datasource_list only from one line; its own
/etc/cloud/ds-identify.cfg may pin a data source, which goes unless the target has it.
"""

import re

from typing import List

from ..draft import Draft
from ..situation import Situation

NAME = "cloud_init"

MAIN = "/etc/cloud/cloud.cfg"
DISABLED = "/etc/cloud/cloud-init.disabled"
DROP_IN = "/etc/cloud/cloud.cfg.d/zz-99-agnostic-recovery.cfg"
DS_IDENTIFY = "/etc/cloud/ds-identify.cfg"

DATASOURCES = ("NoCloud", "ConfigDrive", "OpenStack", "Ec2", "Azure", "GCE", "VMware", "OVF", "None")

REASON = "cloud-init must not take the recovered machine for a new one"
REASON_PINNED = "the data source that is pinned there is none of the target's"

# `locale: false` and `ssh_pwauth: unchanged` leave things as they are; an empty list of users adds no default user.
IDENTITY = """\
preserve_hostname: true
manage_etc_hosts: false
manage_resolv_conf: false
ssh_deletekeys: false
ssh_pwauth: unchanged
users: []
locale: false
package_update: false
package_upgrade: false
repo_upgrade: none
apt_preserve_sources_list: true
apt:
  preserve_sources_list: true
"""

_PINNED = re.compile(r"^[ \t]*datasource[ \t]*:[ \t]*(?P<name>[^\s#]+)[^\n]*\n?", re.MULTILINE)


def plan(situation: Situation, draft: Draft) -> None:
    if not _runs(draft):
        return
    draft.write_text(DROP_IN, _drop_in(situation), REASON)
    text = draft.read_text(DS_IDENTIFY)
    if text is not None:
        draft.write_text(DS_IDENTIFY, _unpinned(situation, text), REASON_PINNED)
    for path in draft.glob("/etc/cloud/cloud.cfg.d/*.cfg"):
        if path > DROP_IN and _overrides(draft.read_text(path) or ""):
            draft.find("warning", f"{path} is read behind {DROP_IN} and sets some of the same keys: the machine may change its identity.")


def verify(situation: Situation) -> List[str]:
    draft = Draft(situation.tree)
    if not _runs(draft) or draft.read_text(DROP_IN) == _drop_in(situation):
        return []
    return [f"{DROP_IN} does not keep cloud-init from taking the machine for a new one on {situation.profile.name}."]


def _runs(draft):
    """A machine whose cloud-init is switched off is left alone."""
    return draft.tree.isfile(MAIN) and not draft.tree.exists(DISABLED)


def _drop_in(situation):
    sources = situation.profile.datasources
    lines = [
        "# cloud-init on a recovered machine: it stays who it is. Written by agnostic.recovery; may be removed.\n",
        f"# Recovery target: {situation.profile.name}\n",
        f"datasource_list: [ {', '.join(sources)} ]\n",
        IDENTITY,
    ]
    # With addresses by DHCP the target's metadata know its NICs best, if cloud-init was the one that configured them.
    if situation.options.network.mode != "dhcp":
        lines.append("network:\n  config: disabled\n")
    return "".join(lines)


def _unpinned(situation, text):
    known = {name.lower() for name in situation.profile.datasources}
    return _PINNED.sub(lambda match: match.group(0) if match.group("name").strip("\"'").lower() in known else "", text)


def _overrides(text):
    keys = re.findall(r"^(\w+):", IDENTITY, re.MULTILINE) + ["datasource_list", "network"]
    return re.search(r"^(?:%s):" % "|".join(keys), text, re.MULTILINE) is not None
