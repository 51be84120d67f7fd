# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job "snapshot": a disk of this host as an EBS snapshot, or such a snapshot removed."""

from ..source.disk import open_disk
from ..target.aws import AwsPlace
from ..target.ebs_snapshots import Snapshots, Wish
from .plain import plain


def run_snapshot(spec, progress):
    """Make the snapshot `name` of the disk `path`, or remove all of that name. Raises SourceError, TargetError, CancelledError.

    Returns {"changed", "snapshot": Snapshot, "written": PutResult, "removed": [ids]}; the first two are empty where there is none.
    """
    snapshots = Snapshots(AwsPlace(**_given(spec, AwsPlace)))
    if spec["state"] == "absent":
        return _remove(snapshots, spec["name"], bool(spec.get("check")))
    found, written = snapshots.completed(spec["name"]), None
    changed = found is None
    if changed and spec.get("check"):
        open_disk(spec["path"], spec["name"]).close()
    elif changed:
        written = snapshots.put(Wish(**_given(spec, Wish)), progress)
        found = snapshots.completed(spec["name"])
    return {"changed": changed, "snapshot": plain(found or {}), "written": plain(written or {}), "removed": []}


def _remove(snapshots, name, check):
    found = [snapshot.id for snapshot in snapshots.find(name)]
    if not check:
        for snapshot in found:
            snapshots.delete(snapshot)
    return {"changed": bool(found), "snapshot": {}, "written": {}, "removed": found}


def _given(spec, kind):
    """The fields of a named tuple that the specification has a value for."""
    return {name: spec[name] for name in kind._fields if spec.get(name) is not None}
