# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Used-block map of a Linux swap area: its header page.

What was swapped out is worth nothing to a machine that boots afresh; UUID, label and bad-page list are in the header.
Format: kernel include/linux/swap.h (union swap_header), mm/swapfile.c; hibernation signatures: kernel/power/swap.c, util-linux
libblkid/src/superblocks/swap.c.
"""

import struct
from typing import Tuple

from .mapread import MapUnknown, ReadAt
from .ranges import Ranges

PAGE_SIZES = (4096, 8192, 16384, 32768, 65536)      # the signature ends with the first page of the machine that made the area
SIGNATURE = b"SWAPSPACE2"
HIBERNATION_SIGNATURES = (b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001", b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c")


def used(read_at: ReadAt, size: int, frozen: bool) -> Tuple[Ranges, str]:
    """The header page and what lies behind the area; MapUnknown for a hibernated system and for anything unusual."""
    head = read_at(0, PAGE_SIZES[-1])
    pages = [page for page in PAGE_SIZES if head[page - 10:page] == SIGNATURE]
    for page in PAGE_SIZES:
        if head[page - 10:page].startswith(HIBERNATION_SIGNATURES):
            raise MapUnknown("it holds the memory of a hibernated system")
    if len(pages) != 1:
        raise MapUnknown("no swap header" if not pages else "swap headers of several page sizes")
    page = pages[0]
    for order in "<>":
        version, last_page = struct.unpack_from(order + "2I", head, 1024)
        if version == 1 and 0 < last_page and (last_page + 1) * page <= size:
            return Ranges([(0, page), ((last_page + 1) * page, size)]), "swap header"
    raise MapUnknown("the swap header makes no sense, or the area is larger than its partition")
