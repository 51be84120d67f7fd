# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What counts towards the limits of captures and restores: every byte once, before it moves."""

from ansible_collections.agnostic.recovery.plugins.module_utils.image.pace import Limits, Pace
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image


class Counter(Pace):
    """Has no limit, and counts."""

    def __init__(self):
        super().__init__(0)
        self.pieces = []

    def spend(self, count):
        self.pieces.append(count)


def test_what_counts(capture, repository, memory_disk, tmp_path):
    disk = memory_disk("sda", b"".join(b"%4096d" % number for number in range(20)) + bytes(20 * 4096), [(0, 30 * 4096)])
    reading, sending, writing = Counter(), Counter(), Counter()
    info = capture(disk, limits=Limits(reading, sending), workers=1)
    assert sum(reading.pieces) == 30 * 4096
    stored = [path.stat().st_size for path in (tmp_path / "repository" / "chunks").rglob("*") if path.is_file()]
    assert sorted(sending.pieces) == sorted(stored) and len(stored) == 20
    capture(disk, limits=Limits(reading, sending), workers=1)
    assert sum(reading.pieces) == 60 * 4096 and len(sending.pieces) == 20      # nothing new, nothing sent
    restore_image(repository, info.id, {"sda": str(tmp_path / "restored.raw")}, NoProgress(), writing=writing)
    assert sum(writing.pieces) == 20 * 4096
