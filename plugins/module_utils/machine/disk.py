# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk as described by its own bytes: partition table and what each partition holds."""

from .content import probe_content
from .model import Disk
from .partitions import ADDED_LOADER, ADDED_LOADER_AT, read_partition_table


def read_disk(name, read_at, size, sector_size=512):
    """The `Disk` of `size` bytes that `read_at(offset, length)` reads; `sector_size` is its logical sector size in bytes.

    A damaged table is no error: the disk is then described without partitions, and `notes` says what is wrong. Errors
    of `read_at` pass through.
    """
    table = read_partition_table(read_at, size, sector_size)
    if not table.partitions and table.table != "gpt":
        content = probe_content(read_at, size)
        # Boot code of a file system may look like an MBR without entries.
        if table.table == "none" or content.kind not in ("empty", "unknown"):
            return Disk(name, size, sector_size, content=content, boot_code=table.boot_code, notes=table.notes)
    partitions = tuple(
        partition._replace(content=probe_content(_part(read_at, partition.start), partition.size)) for partition in table.partitions)
    added = table.boot_code and read_at(0, 512)[ADDED_LOADER_AT:].startswith(ADDED_LOADER)
    return Disk(name, size, sector_size, table.table, table.uuid, partitions, boot_code=table.boot_code, notes=table.notes,
                added_loader=added)


def _part(read_at, start):
    return lambda offset, length: read_at(start + offset, length)
