# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The few commands of LVM that a capture needs (lvm(8)), run so that they write to no file system: no backups, no system log."""

# The library knows no AnsibleModule, whose run_command the rule asks for.
# pylint: disable=ansible-bad-function

import json
import os
import shutil
import subprocess
from typing import Dict, List, NamedTuple, Tuple

from ..errors import SourceError

TAG = "agnostic.recovery"
_CONFIG = "backup { backup=0 archive=0 } activation { monitoring=0 } log { syslog=0 }"
_PATIENCE = 120.0         # seconds
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])      # a user who became root may lack these


class GroupState(NamedTuple):
    seqno: int            # counts the changes of the group
    free: int             # bytes that no volume has


def is_installed() -> bool:
    return shutil.which("lvs", path=_PATH) is not None


def group_states() -> Dict[str, GroupState]:
    """All volume groups by name. Raises SourceError."""
    rows = _report("vg", "vgs", "vg_name,vg_seqno,vg_free")
    return {row["vg_name"]: GroupState(int(row["vg_seqno"]), int(row["vg_free"])) for row in rows}


def physical_volumes() -> List[Tuple[str, str]]:
    """(path, name of its volume group) of the physical volumes that belong to one. Raises SourceError."""
    return [(row["pv_name"], row["vg_name"]) for row in _report("pv", "pvs", "pv_name,vg_name") if row["vg_name"]]


def create_volume(group: str, name: str, size: int) -> None:
    """A volume of `size` bytes, tagged as ours. What lay on the disk before is not overwritten. Raises SourceError."""
    _run("lvcreate", "--yes", "--quiet", "--wipesignatures", "n", "--zero", "n", "--addtag", TAG, "--name", name, "--size", f"{size}b",
         group)


def tagged_volumes() -> List[str]:
    """group/name of the volumes that are tagged as ours. Raises SourceError."""
    return ["{vg_name}/{lv_name}".format(**row) for row in _report("lv", "lvs", "vg_name,lv_name", "@" + TAG)]


def remove_volume(volume: str) -> None:
    """Remove group/name. Raises SourceError."""
    _run("lvremove", "--yes", "--force", "--quiet", volume)


def _report(kind, command, fields, *arguments):
    said = _run(command, "--reportformat", "json", "--units", "b", "--nosuffix", "--options", fields, *arguments)
    try:
        return json.loads(said)["report"][0][kind]
    except (ValueError, LookupError) as error:
        raise SourceError(f"{command} gave no report that can be read: {error}.") from error


def _run(command, *arguments):
    environment = dict(os.environ, LC_ALL="C.UTF-8", LVM_SUPPRESS_FD_WARNINGS="1", PATH=_PATH)
    try:
        done = subprocess.run([command, "--config", _CONFIG] + list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=environment, timeout=_PATIENCE, check=False)
    except FileNotFoundError as error:
        raise SourceError(f"{command} is not installed on this host: install lvm2.") from error
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"{command} did not end within {_PATIENCE:g} s.") from error
    if done.returncode:
        reason = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise SourceError(f"{command} failed: {reason or 'no reason given'}")
    return done.stdout.decode("utf-8", "surrogateescape")
