# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""EBS snapshots by name: made of a disk, found, removed.

The name is the tag Name, given in the request that starts a snapshot, so whatever was begun is found, also when its maker was killed. A
completed snapshot is never changed. A pending one is of an attempt that ended early, and cannot be told complete from the outside: it
is removed and the disk is put anew.
"""

import hashlib
import os
import time
from typing import Dict, List, NamedTuple, Optional

from ..errors import TargetError
from ..image.pace import Pace
from ..image.progress import CancelledError
from ..source.disk import open_disk
from .aws import AwsPlace, AwsService, Refused
from .ebs_direct import PUTS_PER_SECOND, EbsDirect, volume_size
from .ebs_put import PutResult, put_disk

_NAME = "Name"
_COMPLETE_SECONDS = 3600         # how long AWS may take to complete a snapshot that was written
_GONE_SECONDS = 120
_LOOK_SECONDS = 2.0
WORKERS = 16                     # threads: with some 30 ms a request, half of the quota


class Snapshot(NamedTuple):
    """As DescribeSnapshots tells."""
    id: str
    name: str
    state: str                   # pending completed error recoverable recovering
    size: int                    # GiB
    encrypted: bool
    tags: Dict[str, str]
    message: str = ""            # why it is in error


class Wish(NamedTuple):
    """The snapshot that shall be there."""
    name: str
    path: str                    # raw disk file or block device
    parent: str = ""             # id of a snapshot of an older state of the disk
    description: str = ""
    tags: Dict[str, str] = {}
    encrypted: bool = False      # False: as the account's default, or the parent, says
    kms_key: str = ""            # ARN
    workers: int = WORKERS
    puts_per_second: float = PUTS_PER_SECOND


class Snapshots:
    """The account's own snapshots in one region. All methods raise TargetError."""

    def __init__(self, place: AwsPlace):
        self._place = place
        self._ec2 = AwsService(place, "ec2")

    def find(self, name: str) -> List[Snapshot]:
        """All with this name, the oldest first."""
        return self._describe(f"looking for the snapshot {name}", OwnerIds=["self"], Filters=[{"Name": "tag:" + _NAME, "Values": [name]}])

    def completed(self, name: str) -> Optional[Snapshot]:
        """Raises TargetError where there are several: a name means one."""
        found = [snapshot for snapshot in self.find(name) if snapshot.state == "completed"]
        if len(found) > 1:
            raise TargetError(f"{self._place.label}: several snapshots are named {name}: {', '.join(snapshot.id for snapshot in found)}. "
                              "Remove those that are not meant, or choose another name.")
        return found[0] if found else None

    def put(self, wish: Wish, progress) -> PutResult:
        """Make the snapshot. Raises SourceError, TargetError, CancelledError; a snapshot that is not complete may be left then."""
        for left in self.find(wish.name):
            if left.state != "completed":
                self.delete(left.id)
        with open_disk(wish.path, wish.name) as disk:
            gib = volume_size(disk.size)
            ebs = EbsDirect(self._place, wish.workers, Pace(wish.puts_per_second, progress.cancelled))
            # A part by chance: AWS answers a token with the snapshot that it was first given for, also where that was removed.
            token = hashlib.sha256(wish.name.encode("utf-8") + os.urandom(16)).hexdigest()
            snapshot = ebs.start(gib, token, wish.parent, wish.description, dict(wish.tags, **{_NAME: wish.name}), wish.encrypted,
                                 wish.kms_key)
            result = put_disk(ebs, disk, snapshot, progress, wish.workers, wish.parent)
        self._wait_completed(snapshot, progress)
        return result

    def delete(self, snapshot: str) -> None:
        """Remove one and wait until it is gone. No error where there is none."""
        try:
            self._ec2.call("delete_snapshot", f"removing {snapshot}", SnapshotId=snapshot)
        except Refused as error:
            if error.code != "InvalidSnapshot.NotFound":
                raise
        deadline = time.monotonic() + _GONE_SECONDS
        while self._by_id(snapshot) is not None:
            if time.monotonic() > deadline:
                raise TargetError(f"{self._place.label}: {snapshot} is still there {_GONE_SECONDS} s after it was removed.")
            time.sleep(_LOOK_SECONDS)

    def _wait_completed(self, snapshot: str, progress) -> None:
        progress.phase("completing", 0)
        deadline = time.monotonic() + _COMPLETE_SECONDS
        while time.monotonic() < deadline:
            found = self._by_id(snapshot)
            if found is not None and found.state == "completed":
                return
            if found is not None and found.state == "error":
                raise TargetError(f"{self._place.label}: {snapshot} could not be completed: {found.message or 'no reason is given'}. Put it again.")
            if progress.cancelled():
                raise CancelledError("Cancelled on request.")
            time.sleep(_LOOK_SECONDS)
        raise TargetError(f"{self._place.label}: {snapshot} was not completed within {_COMPLETE_SECONDS} s.")

    def _by_id(self, snapshot: str) -> Optional[Snapshot]:
        try:
            found = self._describe(f"looking at {snapshot}", SnapshotIds=[snapshot])
        except Refused as error:
            if error.code != "InvalidSnapshot.NotFound":
                raise
            return None
        return found[0] if found else None

    def _describe(self, what: str, **arguments) -> List[Snapshot]:
        found = []
        while True:
            answer = self._ec2.call("describe_snapshots", what, **arguments)
            found += [_snapshot(entry) for entry in sorted(answer["Snapshots"], key=lambda entry: entry["StartTime"])]
            if not answer.get("NextToken"):
                return found
            arguments["NextToken"] = answer["NextToken"]


def _snapshot(entry: dict) -> Snapshot:
    tags = {tag["Key"]: tag["Value"] for tag in entry.get("Tags", ())}
    return Snapshot(entry["SnapshotId"], tags.get(_NAME, ""), entry["State"], entry["VolumeSize"], bool(entry.get("Encrypted")), tags,
                    entry.get("StateMessage", ""))
