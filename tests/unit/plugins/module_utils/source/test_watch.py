# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is proven unchanged between two looks, on file systems that exist in words only."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import SourceError
from ansible_collections.agnostic.recovery.plugins.module_utils.source import watch as watch_module
from ansible_collections.agnostic.recovery.plugins.module_utils.source.changed.scan import MARGIN_SECONDS, File, Scan, look
from ansible_collections.agnostic.recovery.plugins.module_utils.source.consistency import Area
from ansible_collections.agnostic.recovery.plugins.module_utils.source.mapread import MapUnknown
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges
from ansible_collections.agnostic.recovery.plugins.module_utils.source.watch import CountWatch, FileWatch, Moment, reader_of

MARK = 1000000


def seen(*files):
    return look(lambda read_at, size, skip: iter(files), None, 0, frozenset(), Scan(), 0).scan


def compare(before, *files):
    return list(look(lambda read_at, size, skip: iter(files), None, 0, frozenset(), before, MARK + 0.5).clean)


OLD = File(3, 70, 11, 5000, [(100, 200), (300, 400)])


def test_an_old_file_that_is_the_same_is_clean():
    assert compare(seen(OLD), OLD) == [(100, 200), (300, 400)]


@pytest.mark.parametrize("other", [OLD._replace(digest=12), OLD._replace(group=4), OLD._replace(index=71), OLD._replace(index=2000)])
def test_a_file_that_was_not_there_as_it_is_is_not(other):
    assert compare(seen(OLD), other) == []


@pytest.mark.parametrize("changed, clean", [
    (MARK - MARGIN_SECONDS - 1, True), (MARK - MARGIN_SECONDS, False), (MARK, False), (MARK + 9999, False)])
def test_a_stamp_near_the_mark_proves_nothing(changed, clean):
    file = OLD._replace(changed=changed)
    assert compare(seen(file), file) == (file.extents if clean else [])


def test_what_two_files_claim_belongs_to_the_one_that_changed():
    other = File(0, 1, 99, MARK + 1, [(150, 350)])
    assert compare(seen(OLD), OLD, other) == [(100, 150), (350, 400)]


@pytest.mark.parametrize("error", [MapUnknown("odd"), ValueError("odd"), IndexError("odd")])
def test_metadata_that_cannot_be_read_prove_nothing(error):
    def reader(_read_at, _size, _skip):
        yield OLD
        raise error

    changes = look(reader, None, 0, frozenset(), seen(OLD), MARK)
    assert not changes.clean and "odd" in changes.note and not changes.scan.has(OLD)


def test_a_disk_that_cannot_be_read_is_an_error():
    def reader(_read_at, _size, _skip):
        raise SourceError("gone")
        yield                                       # pylint: disable=unreachable

    with pytest.raises(SourceError):
        look(reader, None, 0, frozenset(), Scan(), MARK)


class Steps:
    """A file watch whose file, clock and doubts the test sets."""

    def __init__(self, monkeypatch):
        self.files, self.why, self.skipped = [OLD], "", []
        self.clock = Moment(MARK, 50.0)
        monkeypatch.setattr(watch_module, "now", lambda: self.clock)
        self.watch = FileWatch(Area("sda", 10000, 1000), None, self.read, lambda: frozenset(self.skipped), lambda: self.why)

    def read(self, _read_at, size, skip):
        assert size == 1000
        return iter([file for file in self.files if file.index not in skip])

    def look(self):
        return list(self.watch.look())


@pytest.fixture(name="steps")
def fixture_steps(monkeypatch):
    return Steps(monkeypatch)


CLEAN = [(10100, 10200), (10300, 10400)]


def test_the_first_look_proves_nothing(steps):
    assert steps.look() == []


def test_a_look_is_compared_with_the_one_before_the_mark(steps):
    steps.look()
    steps.watch.mark(steps.clock)
    assert steps.look() == CLEAN
    steps.files = [OLD._replace(digest=5)]
    assert steps.look() == []                       # no mark in between: still compared with the first
    steps.files = [OLD]
    assert steps.look() == CLEAN
    steps.files = [OLD._replace(digest=5)]
    steps.look()
    steps.watch.mark(steps.clock)
    assert steps.look() == CLEAN


def test_a_clock_that_was_set_back(steps):
    steps.look()
    steps.watch.mark(steps.clock)
    steps.clock = Moment(MARK - 3600, 60.0)
    assert steps.look() == [] and steps.watch.note == "the clock was set back"
    steps.clock = Moment(MARK + 20, 70.0)
    assert steps.look() == []


def test_a_clock_that_was_set_forward_harms_nothing(steps):
    steps.look()
    steps.watch.mark(steps.clock)
    steps.clock = Moment(MARK + 3600, 60.0)
    assert steps.look() == CLEAN


def test_doubts_stay(steps):
    steps.look()
    steps.watch.mark(steps.clock)
    steps.why = "NFS clients use it"
    assert steps.look() == [] and steps.watch.note == "NFS clients use it"
    steps.why = ""
    assert steps.look() == []


def test_swap_files_stay_out(steps):
    steps.look()
    steps.watch.mark(steps.clock)
    steps.skipped = [OLD.index]
    assert steps.look() == []
    steps.skipped = []
    assert steps.look() == []


def test_counted_writes():
    counts = [(1, 8, 0)]
    watch = CountWatch(Ranges([(5, 9)]), lambda: counts[0])
    assert not watch.look()
    watch.mark(None)
    assert list(watch.look()) == [(5, 9)]
    counts[0] = (2, 16, 0)
    assert not watch.look()
    watch.mark(None)
    assert list(watch.look()) == [(5, 9)]
    counts[0] = None
    assert not watch.look()
    watch.mark(None)
    assert not watch.look()


@pytest.mark.parametrize("kind, options, known", [
    ("ext4", ("rw", "data=ordered"), True), ("xfs", ("rw",), True), ("ext4", ("rw", "data=journal"), False),
    ("xfs", ("rw", "dax=always"), False), ("ext4", ("rw", "dax=inode"), True), ("btrfs", ("rw",), False), ("vfat", ("rw",), False)])
def test_readers(kind, options, known):
    assert (reader_of(kind, options) is not None) == known
