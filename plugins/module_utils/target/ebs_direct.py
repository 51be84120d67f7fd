# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The EBS direct API: snapshots that are written and read block by block, without any machine in the cloud.

A snapshot is made of blocks of 512 KiB; one that was never written reads as zeros, or as in the parent snapshot. Every block travels with its
SHA-256, which the service checks. Sources: Amazon EBS API reference (StartSnapshot, PutSnapshotBlock, CompleteSnapshot,
ListSnapshotBlocks, GetSnapshotBlock); Amazon EBS user guide, "EBS direct APIs" and their quotas.
"""

import base64
import hashlib
import threading
from typing import Dict, Iterator, NamedTuple, Optional

from ..errors import TargetError
from ..image.pace import UNLIMITED, Pace
from ..repository.retry import TransientError
from .aws import AwsPlace, AwsService

BLOCK = 524288                   # bytes
GIB = 1 << 30
MAX_VOLUME = 65536               # GiB
ZEROS = bytes(BLOCK)
# Quota of PutSnapshotBlock for one snapshot, which AWS does not raise: 1,000 a second. A little room for what is repeated.
PUTS_PER_SECOND = 900.0
_ALGORITHM = "SHA256"
# Minutes after which AWS gives up a pending snapshot that nothing is written to: long enough for a network that was away.
_TIMEOUT = 240
# A snapshot that was started a moment ago may not be known everywhere.
_NOT_YET = ("ResourceNotFoundException",)


class SnapshotBlock(NamedTuple):
    index: int                   # offset / BLOCK
    token: str                   # what asks for the block; good for 7 days


def volume_size(size: int) -> int:
    """GiB of the smallest volume that holds a disk of `size` bytes. Raises TargetError."""
    gib = max(1, -(-size // GIB))
    if gib > MAX_VOLUME:
        raise TargetError(f"A disk of {gib} GiB is larger than any EBS volume ({MAX_VOLUME} GiB).")
    return gib


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def as_text(checksum: bytes) -> str:
    return base64.b64encode(checksum).decode("ascii")


class EbsDirect:
    """The blocks of snapshots in one region. All methods may be called by several threads at once. They raise TargetError."""

    def __init__(self, place: AwsPlace, connections: int = 4, puts: Pace = UNLIMITED):
        """`puts` bounds the number of PutSnapshotBlock requests."""
        self._service = AwsService(place, "ebs", connections)
        self._puts = puts
        self._writable = threading.Event()       # the service took a block: it knows the snapshot

    def start(self, gib: int, token: str, parent: str = "", description: str = "", tags: Optional[Dict[str, str]] = None,
              encrypted: bool = False, kms_key: str = "") -> str:
        """Begin a snapshot of a volume of so many GiB; its id. The same `token` (64 ASCII characters at most) begins only one.

        A child is encrypted as its `parent` is; AWS takes no wish for it then.
        """
        arguments = {"VolumeSize": gib, "ClientToken": token, "Timeout": _TIMEOUT}
        for name, value in (("ParentSnapshotId", parent), ("Description", description), ("Encrypted", encrypted), ("KmsKeyArn", kms_key),
                            ("Tags", [{"Key": key, "Value": str(text)} for key, text in sorted((tags or {}).items())])):
            if value:
                arguments[name] = value
        answer = self._service.call("start_snapshot", "starting a snapshot", **arguments)
        if answer["BlockSize"] != BLOCK:
            raise TargetError(f"{self._service.label}: snapshot {answer['SnapshotId']} has blocks of {answer['BlockSize']} bytes, not {BLOCK}.")
        return answer["SnapshotId"]

    def put(self, snapshot: str, index: int, data: bytes, checksum: bytes) -> None:
        """Write one whole block; again, if need be."""
        self._puts.spend(1)
        self._service.call("put_snapshot_block", f"writing block {index} of {snapshot}", () if self._writable.is_set() else _NOT_YET,
                           SnapshotId=snapshot, BlockIndex=index, BlockData=data, DataLength=BLOCK, Checksum=as_text(checksum),
                           ChecksumAlgorithm=_ALGORITHM)
        self._writable.set()

    def complete(self, snapshot: str, blocks: int, checksum: bytes) -> None:
        """All is written: so many blocks, with this SHA-256 over the checksums of all of them in ascending order (LINEAR)."""
        arguments = {}
        if blocks:
            arguments = {"Checksum": as_text(checksum), "ChecksumAlgorithm": _ALGORITHM, "ChecksumAggregationMethod": "LINEAR"}
        self._service.call("complete_snapshot", f"completing {snapshot}", SnapshotId=snapshot, ChangedBlocksCount=blocks, **arguments)

    def blocks(self, snapshot: str) -> Iterator[SnapshotBlock]:
        """Every block that was ever written to the snapshot or its parents, in ascending order; fetched page by page."""
        arguments, last = {}, -1
        while True:
            page = self._service.call("list_snapshot_blocks", f"listing the blocks of {snapshot}", SnapshotId=snapshot, **arguments)
            for entry in page.get("Blocks", ()):         # a page may be empty and not be the last
                if entry["BlockIndex"] <= last:
                    raise TargetError(f"{self._service.label} lists the blocks of {snapshot} out of order ({entry['BlockIndex']} after {last}).")
                last = entry["BlockIndex"]
                yield SnapshotBlock(last, entry["BlockToken"])
            if not page.get("NextToken"):
                return
            arguments = {"NextToken": page["NextToken"]}

    def volume_size(self, snapshot: str) -> int:
        """GiB of the volume that the snapshot is of."""
        return self._service.call("list_snapshot_blocks", f"looking at {snapshot}", SnapshotId=snapshot, MaxResults=100)["VolumeSize"]

    def get(self, snapshot: str, block: SnapshotBlock) -> bytes:
        """A whole block, checked by its checksum."""
        def take(answer):
            data = answer["BlockData"].read()
            if len(data) != BLOCK or answer.get("Checksum") != as_text(digest(data)):
                raise TransientError("what arrived does not match its checksum", answered=True)
            return data
        return self._service.call("get_snapshot_block", f"reading block {block.index} of {snapshot}", take=take, SnapshotId=snapshot,
                                  BlockIndex=block.index, BlockToken=block.token)
