# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An EBS snapshot as a disk file: every block is checked by its checksum before it is written."""

import time
from typing import NamedTuple

from ..image.pool import run
from ..image.target import open_target
from .ebs_direct import BLOCK, GIB, EbsDirect


class GetResult(NamedTuple):
    size: int                    # bytes of the disk: that of the volume, whole GiB
    blocks: int                  # that were read
    seconds: float


def get_snapshot(ebs: EbsDirect, snapshot: str, path: str, progress, workers: int, overwrite: bool = False) -> GetResult:
    """Write the snapshot to a raw file that is made, sparse, or to a block device. A file gets its name when it is complete.

    Raises TargetError, CancelledError.
    """
    began = time.monotonic()
    size = ebs.volume_size(snapshot) * GIB
    blocks = sum(1 for _block in ebs.blocks(snapshot))
    progress.phase("fetch", blocks * BLOCK)
    target = open_target(path, snapshot, size, overwrite)

    def fetch(block):
        target.write(block.index * BLOCK, ebs.get(snapshot, block))
        progress.advance(BLOCK)

    try:
        if target.needs_zeros:
            target.zero(0, size)
        run(ebs.blocks(snapshot), lambda: fetch, workers, progress.cancelled)
        target.finish()
    finally:
        target.close()
    return GetResult(size, blocks, time.monotonic() - began)
