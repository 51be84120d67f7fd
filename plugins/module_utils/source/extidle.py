# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ext2, ext3 and ext4 keep for themselves although nothing is in it: an empty journal, and inode tables that were never used.

A frozen file system has written its journal to the end. Journals are large (1 GiB from 128 GiB on) and change all the time, so a capture
under a freeze is much shorter without them. A journal whose superblock calls it empty is never read; a new one is all zeros.
Unused parts of inode tables are zero once their group's descriptor says so, and restore as the same zeros.
"""

from .ext import View, descriptor_table
from .extjournal import journal_body
from .extlayout import COMPAT_HAS_JOURNAL, INCOMPAT_RECOVER, inode_use, parse_groups, read_superblock
from .mapread import ReadAt
from .ranges import Ranges


def idle(read_at: ReadAt, size: int, running: bool) -> Ranges:
    """Bytes of the partition. `running`: the journal as if it were empty, as it is when the file system is frozen. MapUnknown."""
    superblock = read_superblock(read_at, size)
    view = View(read_at, superblock.block_size)
    table = descriptor_table(view, superblock)
    block_size = superblock.block_size
    per_block = block_size // superblock.inode_size
    found = []
    for number, group in enumerate(parse_groups(superblock, table, verify=False)):
        inodes = inode_use(superblock, table, number)
        if inodes.zeroed:
            found.append(((group.inode_table + -(-inodes.used // per_block)) * block_size,
                          (group.inode_table + superblock.inode_table_blocks) * block_size))
    if superblock.compat & COMPAT_HAS_JOURNAL and superblock.journal_inode:
        empty, blocks = journal_body(read_at, superblock, table)
        if running or (empty and not superblock.incompat & INCOMPAT_RECOVER):
            found.extend((first * block_size, end * block_size) for first, end in blocks)
    return Ranges(found)
