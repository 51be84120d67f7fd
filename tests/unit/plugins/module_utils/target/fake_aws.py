# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small AWS in memory, as strict as the real one where it matters: what boto3's clients "ebs" and "ec2" do with snapshots."""

import base64
import datetime
import hashlib
import io
import itertools
import threading

BLOCK = 524288


class FakeError(Exception):
    """As botocore's ClientError."""

    def __init__(self, code, status=400, **more):
        super().__init__(code)
        self.response = dict(more, Error={"Code": code, "Message": "said the service"},
                             ResponseMetadata={"HTTPStatusCode": status, "HTTPHeaders": {}})


def text(checksum):
    return base64.b64encode(checksum).decode("ascii")


class Kept:
    """A snapshot. `blocks`: {index: data}, with those of the parent."""

    def __init__(self, identity, size, tags, blocks):
        self.id, self.size, self.tags, self.blocks = identity, size, tags, dict(blocks)
        self.state, self.written = "pending", {}


class FakeAws:
    """`before(action, arguments)` and `after(action, arguments)` may raise: a request that never arrived, an answer that was lost."""

    def __init__(self):
        self.snapshots, self.tokens, self.requests = {}, {}, []
        self.page = 1000
        self.before = self.after = lambda action, arguments: None
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def client(self, _place, _service, _connections):
        return self

    def __getattr__(self, name):
        action = getattr(type(self), "do_" + name)

        def request(**arguments):
            self.requests.append((name, arguments))
            self.before(name, arguments)
            with self._lock:
                answer = action(self, **arguments)
            self.after(name, arguments)
            return answer
        return request

    def add(self, name, data_of_blocks, state="completed"):
        kept = Kept("snap-%d" % next(self._numbers), 1, {"Name": name}, data_of_blocks)
        kept.state = state
        self.snapshots[kept.id] = kept
        return kept

    def _snapshot(self, identity):
        if identity not in self.snapshots:
            raise FakeError("ResourceNotFoundException", 404, Reason="SNAPSHOT_NOT_FOUND")
        return self.snapshots[identity]

    def do_start_snapshot(self, VolumeSize, ClientToken, Timeout, ParentSnapshotId=None, Tags=(), **more):
        assert len(ClientToken) <= 64 and Timeout >= 10
        if ClientToken not in self.tokens:
            parent = self._snapshot(ParentSnapshotId).blocks if ParentSnapshotId else {}
            kept = Kept("snap-%d" % next(self._numbers), VolumeSize, {tag["Key"]: tag["Value"] for tag in Tags}, parent)
            kept.more = more
            self.snapshots[kept.id] = self.tokens[ClientToken] = kept
        return {"SnapshotId": self.tokens[ClientToken].id, "BlockSize": BLOCK, "Status": "pending"}

    def do_put_snapshot_block(self, SnapshotId, BlockIndex, BlockData, DataLength, Checksum, ChecksumAlgorithm):
        kept = self._snapshot(SnapshotId)
        assert kept.state == "pending" and ChecksumAlgorithm == "SHA256"
        assert len(BlockData) == DataLength == BLOCK and 0 <= BlockIndex < kept.size * 2048
        checksum = hashlib.sha256(BlockData).digest()
        assert Checksum == text(checksum)
        kept.blocks[BlockIndex], kept.written[BlockIndex] = BlockData, checksum
        return {"Checksum": Checksum}

    def do_complete_snapshot(self, SnapshotId, ChangedBlocksCount, Checksum=None, ChecksumAlgorithm=None, ChecksumAggregationMethod=None):
        kept = self._snapshot(SnapshotId)
        assert ChangedBlocksCount == len(kept.written)
        if kept.written:
            assert (ChecksumAlgorithm, ChecksumAggregationMethod) == ("SHA256", "LINEAR")
            assert Checksum == text(hashlib.sha256(b"".join(kept.written[index] for index in sorted(kept.written))).digest())
        kept.state = "completed"
        return {"Status": "completed"}

    def do_list_snapshot_blocks(self, SnapshotId, NextToken="0", MaxResults=None):
        kept = self._snapshot(SnapshotId)
        indices = sorted(kept.blocks)[int(NextToken):]
        answer = {"VolumeSize": kept.size, "BlockSize": BLOCK,
                  "Blocks": [{"BlockIndex": index, "BlockToken": "token-%d" % index} for index in indices[:self.page]]}
        if len(indices) > self.page:
            answer["NextToken"] = str(int(NextToken) + self.page)
        return answer

    def do_get_snapshot_block(self, SnapshotId, BlockIndex, BlockToken):
        assert BlockToken == "token-%d" % BlockIndex
        data = self._snapshot(SnapshotId).blocks[BlockIndex]
        return {"BlockData": io.BytesIO(data), "Checksum": text(hashlib.sha256(data).digest()), "DataLength": BLOCK}

    def do_describe_snapshots(self, OwnerIds=None, Filters=(), SnapshotIds=None):
        if SnapshotIds and SnapshotIds[0] not in self.snapshots:
            raise FakeError("InvalidSnapshot.NotFound")
        names = [value for wanted in Filters for value in wanted["Values"]]
        return {"Snapshots": [
            {"SnapshotId": kept.id, "State": kept.state, "VolumeSize": kept.size, "StartTime": datetime.datetime(2026, 1, 1),
             "Tags": [{"Key": key, "Value": value} for key, value in kept.tags.items()]}
            for kept in self.snapshots.values() if kept.id in (SnapshotIds or ()) or kept.tags.get("Name") in names]}

    def do_delete_snapshot(self, SnapshotId):
        if SnapshotId not in self.snapshots:
            raise FakeError("InvalidSnapshot.NotFound")
        del self.snapshots[SnapshotId]
        return {}
