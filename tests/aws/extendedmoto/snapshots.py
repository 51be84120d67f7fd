# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The EBS direct API as the Amazon EBS API reference describes it, in place of moto's."""

import os

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.ebs import models, responses
from moto.ec2.exceptions import InvalidSnapshotInUse
from moto.ec2.models import elastic_block_store

from .blocks import BLOCK, Blocks, checksum_text

MAX_VOLUME = 65536      # GiB


class Invalid(JsonRESTError):
    code = 400

    def __init__(self, message):
        super().__init__("ValidationException", message)


class Missing(JsonRESTError):
    code = 404

    def __init__(self, snapshot):
        super().__init__("ResourceNotFoundException", f"The snapshot '{snapshot}' does not exist.")


class Conflict(JsonRESTError):
    code = 409

    def __init__(self):
        super().__init__("ConflictException", "The client token was used for another request.")


def apply(folder):
    """Replace moto's handlers. Blocks are kept in files of `folder`."""

    def blocks_of(backend, snapshot):
        if snapshot not in backend.snapshots or snapshot not in backend.ec2_backend.snapshots:
            raise Missing(snapshot)
        return backend.snapshots[snapshot]

    def new_snapshot(backend, size, parent=None, tags=None, description="", ec2_snapshot=None):
        """moto's snapshot with blocks; as moto makes it for the EC2 API too, or for one that is there."""
        if ec2_snapshot is None:
            kept = backend.start_snapshot(volume_size=size, tags=tags, description=description)
            ec2_snapshot = backend.ec2_backend.snapshots[kept.snapshot_id]
            backend.ec2_backend.volumes.pop(ec2_snapshot.volume.id)      # no volume that anybody made
            ec2_snapshot.status = "pending"
        else:
            kept = backend.snapshots[ec2_snapshot.id] = models.EBSSnapshot(backend.account_id, ec2_snapshot)
        kept.block_size = BLOCK
        kept.blocks = Blocks(os.path.join(folder, kept.snapshot_id + ".blocks"), parent.blocks if parent else None)
        return kept

    def start_snapshot(self):
        backend, get = self.ebs_backend, self._get_param
        tokens = backend.__dict__.setdefault("client_tokens", {})
        wish = [get(name) for name in ("VolumeSize", "ParentSnapshotId", "Tags", "Description", "Encrypted", "KmsKeyArn")]
        size, parent_id, tags, description, encrypted, key = wish
        token = get("ClientToken")
        if token in tokens:
            if tokens[token][0] != wish:
                raise Conflict()
            return ActionResult(tokens[token][1])
        if not 1 <= size <= MAX_VOLUME:
            raise Invalid(f"VolumeSize {size} is not between 1 and {MAX_VOLUME}.")
        parent = blocks_of(backend, parent_id) if parent_id else None
        if parent and (encrypted or key):
            raise Invalid("Encrypted and ParentSnapshotId exclude each other.")
        if parent and (parent.status != "completed" or parent.volume_size > size):
            raise Invalid(f"{parent_id} is not completed, or larger than {size} GiB.")
        kept = new_snapshot(backend, size, parent, tags, description or "")
        ec2_snapshot = backend.ec2_backend.snapshots[kept.snapshot_id]
        ec2_snapshot.encrypted = bool(encrypted) or bool(parent and backend.ec2_backend.snapshots[parent_id].encrypted)
        ec2_snapshot.kms_key_id = key
        answer = {"SnapshotId": kept.snapshot_id, "OwnerId": kept.account_id, "Status": "pending", "StartTime": kept.start_time,
                  "VolumeSize": size, "BlockSize": BLOCK, "Tags": kept.tags, "Description": kept.description, "ParentSnapshotId": parent_id}
        tokens[token] = (wish, answer)
        return ActionResult(answer)

    def put_snapshot_block(self):
        get = self._get_param
        kept, index, data = blocks_of(self.ebs_backend, get("SnapshotId")), int(get("BlockIndex")), get("BlockData")
        data = data.encode("latin-1") if isinstance(data, str) else data
        if kept.status != "pending":
            raise Invalid(f"{kept.snapshot_id} is not pending.")
        if len(data) != BLOCK or int(get("DataLength")) != BLOCK:
            raise Invalid(f"A block has {BLOCK} bytes, not {len(data)}.")
        if not 0 <= index < kept.volume_size * 2048:
            raise Invalid(f"BlockIndex {index} is outside of the volume.")
        kept.blocks.put(index, data)
        checksum = checksum_text(kept.blocks.found[index].checksum)
        if get("Checksum") != checksum or get("ChecksumAlgorithm") != "SHA256":
            raise Invalid("The checksum is not that of the data.")
        return ActionResult({"Checksum": checksum, "ChecksumAlgorithm": "SHA256"})

    def complete_snapshot(self):
        get = self._get_param
        kept = blocks_of(self.ebs_backend, get("SnapshotId"))
        if kept.status == "pending":         # again: the answer to the request before was lost
            if int(get("ChangedBlocksCount")) != len(kept.blocks.written):
                raise Invalid(f"ChangedBlocksCount {get('ChangedBlocksCount')} is not {len(kept.blocks.written)}.")
            if get("Checksum") and (get("ChecksumAggregationMethod") != "LINEAR" or
                                    get("Checksum") != checksum_text(kept.blocks.linear_checksum())):
                raise Invalid("The checksum is not that of all blocks.")
            kept.status = self.ebs_backend.ec2_backend.snapshots[kept.snapshot_id].status = "completed"
        return ActionResult({"Status": "completed"})

    def page(self, entries):
        start = int(self._get_param("NextToken") or self._get_param("StartingBlockIndex") or 0)
        most = int(self._get_param("MaxResults") or 1000)
        wanted = [entry for entry in entries if entry["BlockIndex"] >= start]
        return wanted[:most], str(wanted[most]["BlockIndex"]) if len(wanted) > most else None

    def list_snapshot_blocks(self):
        kept = blocks_of(self.ebs_backend, self._get_param("SnapshotId"))
        found = kept.blocks.found
        entries, following = page(self, [{"BlockIndex": index, "BlockToken": found[index].token} for index in sorted(found)])
        return ActionResult({"Blocks": entries, "VolumeSize": kept.volume_size, "BlockSize": BLOCK, "NextToken": following})

    def list_changed_blocks(self):
        backend = self.ebs_backend
        second = blocks_of(backend, self._get_param("SecondSnapshotId"))
        first = blocks_of(backend, self._get_param("FirstSnapshotId"))
        changed = []
        for index in sorted(set(first.blocks.found) | set(second.blocks.found)):
            blocks = [kept.blocks.found.get(index) for kept in (first, second)]
            if blocks[0] != blocks[1]:
                tokens = zip(("FirstBlockToken", "SecondBlockToken"), blocks)
                changed.append(dict({name: block.token for name, block in tokens if block}, BlockIndex=index))
        entries, following = page(self, changed)
        return ActionResult({"ChangedBlocks": entries, "VolumeSize": second.volume_size, "BlockSize": BLOCK, "NextToken": following})

    def get_snapshot_block(self):
        kept, index = blocks_of(self.ebs_backend, self._get_param("SnapshotId")), int(self._get_param("BlockIndex"))
        block = kept.blocks.found.get(index)
        if block is None or block.token != self._get_param("BlockToken"):
            raise Invalid("The block token is not valid.")
        return ActionResult({"DataLength": BLOCK, "BlockData": block.file.read(index), "Checksum": checksum_text(block.checksum),
                             "ChecksumAlgorithm": "SHA256"})

    for handler in (start_snapshot, put_snapshot_block, complete_snapshot, list_snapshot_blocks, list_changed_blocks, get_snapshot_block):
        setattr(responses.EBSResponse, handler.__name__, handler)

    delete_plain = elastic_block_store.EBSBackend.delete_snapshot

    def delete_snapshot(self, snapshot_id):
        """self: the EC2 backend."""
        user = next((image.id for image in self.amis.values() for mapping in image.block_device_mappings
                     if mapping.get("Ebs", {}).get("SnapshotId") == snapshot_id), None)
        if user:
            raise InvalidSnapshotInUse(snapshot_id, user)
        deleted = delete_plain(self, snapshot_id)
        kept = models.ebs_backends[self.account_id][self.region_name].snapshots.pop(snapshot_id, None)
        if kept and isinstance(kept.blocks, Blocks):
            kept.blocks.remove()
        return deleted

    elastic_block_store.EBSBackend.delete_snapshot = delete_snapshot
    return new_snapshot
