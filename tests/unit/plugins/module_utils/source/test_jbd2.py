# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import struct

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.source.jbd2 import open_journal, replay
from ansible_collections.agnostic.recovery.plugins.module_utils.source.mapread import MapUnknown
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.source.builders import Log

HIGH = 1 << 33


def content(letter):
    return letter.encode() * 1024


def contents(log):
    journal = open_journal(log.read_block, 1024, log.length)
    return {block: logged.content(journal) for block, logged in replay(journal).items()}


@pytest.fixture(params=[(checksum, wide) for checksum in (0, 1, 2, 3) for wide in (False, True)], ids=str)
def log(request):
    return Log(*request.param)


def test_later_transactions_win(log):
    far = HIGH if log.wide else 999
    log.descriptor([(10, content("a")), (11, content("b"))])
    log.descriptor([(far, content("c"))])
    log.commit()
    log.descriptor([(10, content("d"))])
    log.commit()
    assert contents(log) == {10: content("d"), 11: content("b"), far: content("c")}


def test_an_unfinished_transaction_does_not_count(log):
    log.descriptor([(10, content("a"))])
    log.commit()
    log.descriptor([(10, content("b")), (12, content("c"))])
    log.revoke(10)
    assert contents(log) == {10: content("a")}


def test_revoked_in_the_same_or_a_later_transaction(log):
    log.descriptor([(10, content("a")), (11, content("b")), (12, content("c"))])
    log.commit()
    log.revoke(10, 12)
    log.descriptor([(13, content("d")), (12, content("e"))])
    log.commit()
    log.descriptor([(10, content("f"))])
    log.commit()
    assert contents(log) == {11: content("b"), 13: content("d"), 10: content("f")}


def test_content_that_looks_like_a_journal_block(log):
    data = b"\xc0\x3b\x39\x98" + bytes(range(255)) * 4
    log.descriptor([(10, data)])
    log.commit()
    assert contents(log) == {10: data}


def test_the_log_wraps():
    log = Log(3, True, start=1020)
    for letter in "abcdef":
        log.descriptor([(10, content(letter)), (ord(letter), content(letter))])
        log.commit()
    assert log.position < 1020
    assert contents(log)[10] == content("f")
    assert set(contents(log)) == {10} | set(b"abcdef")


def test_stale_blocks_of_an_earlier_turn_end_the_log(log):
    log.descriptor([(10, content("a"))])
    log.commit()
    position = log.position
    log.sequence -= 5
    log.descriptor([(11, content("b"))])
    log.commit()
    assert log.position > position
    assert set(contents(log)) == {10}


def test_sequence_numbers_wrap():
    log = Log(3, sequence=0xFFFFFFFF)
    log.descriptor([(10, content("a"))])
    log.commit()
    log.sequence = 0
    log.descriptor([(11, content("b"))])
    log.commit()
    assert set(contents(log)) == {10, 11}


@pytest.mark.parametrize("checksum", (1, 2, 3))
def test_wrong_checksums(checksum):
    log = Log(checksum)
    log.descriptor([(10, content("a"))])
    log.commit(damage=1)
    with pytest.raises(MapUnknown, match="transaction 7 has a wrong checksum"):
        contents(log)
    log = Log(checksum)
    log.descriptor([(10, content("a"))])
    log.commit()
    log.blocks[2] = content("b")
    with pytest.raises(MapUnknown, match="wrong checksum"):
        contents(log)
    log = Log(checksum)
    log.descriptor([(10, content("a"))])
    log.commit()
    log.blocks[1] = log.blocks[1][:600] + b"!" + log.blocks[1][601:]
    with pytest.raises(MapUnknown, match="wrong checksum"):
        contents(log)


def test_a_torn_descriptor_without_commit_is_no_damage():
    log = Log(3)
    log.descriptor([(10, content("a"))])
    log.commit()
    torn = log.position
    log.descriptor([(11, content("b"))])
    log.blocks[torn] = log.blocks[torn][:512] + bytes(512)
    assert set(contents(log)) == {10}


@pytest.mark.parametrize("options, reason", [
    ({"incompat": 0x40}, "unknown features"),
    ({"checksum": 2, "incompat": 0x10}, "more than one kind"),
    ({"errno": 5}, "stopped with error 5"),
    ({"start": 2000}, "make no sense"),
    ({"fast_blocks": 300}, "too small"),
])
def test_journals_that_are_refused(options, reason):
    with pytest.raises(MapUnknown, match=reason):
        contents(Log(**options))


def test_a_damaged_superblock():
    log = Log()
    log.blocks[0] = log.blocks[0][:900] + b"!" + log.blocks[0][901:]
    with pytest.raises(MapUnknown, match="superblock has a wrong checksum"):
        contents(log)


def fast_log(tid):
    log = Log(3, length=2048, fast_blocks=256)
    log.descriptor([(10, content("a"))])
    log.commit()        # sequence 7; the next would be 8
    log.blocks[2048 - 256] = struct.pack("<HHII", 9, 8, 0, tid).ljust(1024, b"\0")
    return log


def test_fast_commits():
    assert set(contents(fast_log(7))) == {10}
    with pytest.raises(MapUnknown, match="fast commits are pending"):
        contents(fast_log(8))


def test_a_log_with_fast_commits_must_not_wrap():
    log = Log(3, length=2048, fast_blocks=256, start=1790)
    log.descriptor([(10, content("a")), (11, content("a"))])
    log.commit()
    with pytest.raises(MapUnknown, match="wraps"):
        contents(log)


def test_a_log_without_end():
    log = Log(0, length=8)
    for position in range(1, 8):
        log.blocks[position] = struct.pack(">4I", 0xC03B3998, 5, 7, 16).ljust(1024, b"\0")
    with pytest.raises(MapUnknown, match="no end"):
        contents(log)
