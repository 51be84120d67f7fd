# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recovery key as text: every typing error is found and located."""

import hashlib
import os
import re

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import KeyAccessError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository import keyring, slots
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keyring import Keyring, put_keyring
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import KeyFile
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.recovery_key import (
    new_recovery_key, read_recovery_key, write_recovery_key)
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.sealing import open_key

FORMAT = os.path.join(os.path.dirname(os.path.abspath(__file__)), *[".."] * 5, "docs", "format.md")


def test_forms_that_people_type():
    key = new_recovery_key()
    lines = write_recovery_key(key)
    assert all(re.match(r"^[0-9A-HJKMNP-TV-Z]{4}( [0-9A-HJKMNP-TV-Z]{4}){4}$", line) for line in lines) and len(lines) == 4
    text = "\n".join(lines)
    for typed in (text, text.lower(), text.replace(" ", ""), text.replace(" ", "-"), text.replace("\n", " "),
                  "\r\n".join(lines) + "\r\n\r\n",
                  "\n".join("%d: %s" % numbered for numbered in enumerate(lines, 1)), text.replace("0", "O").replace("1", "l"),
                  "  " + text.replace("1", "I").replace(" ", "\t")):
        assert read_recovery_key(typed) == key


def test_every_single_typing_error_is_told_with_its_line():
    lines = write_recovery_key(KeyFile(hashlib.sha512(b"x").digest()[:40]))
    for number, line in enumerate(lines):
        for position, sign in enumerate(line):
            if sign == " ":
                continue
            for other in "0123456789ABCDEFGHJKMNPQRSTVWXYZ":
                if other != sign:
                    wrong = lines[:number] + [line[:position] + other + line[position + 1:]] + lines[number + 1:]
                    with pytest.raises(KeyAccessError, match="typing error in line %d of" % (number + 1)):
                        read_recovery_key("\n".join(wrong))


@pytest.mark.parametrize("change, words", [
    (lambda lines: [lines[1], lines[0]] + lines[2:], "typing error in line 1 "),
    (lambda lines: lines[:2] + [lines[2][:-1]] + lines[3:], "Line 3 of the recovery key has 19 signs instead of 20"),
    (lambda lines: lines[:3], "has 4 lines of 20 signs"),
    (lambda lines: lines + ["0"], "given are 81 signs in 5 lines"),
    (lambda lines: [" ".join(lines)[:-1]], "given are 79 signs in 1 lines"),
    (lambda lines: [lines[0][:7] + "U" + lines[0][8:]] + lines[1:], "Group 2 of line 1 .* has a sign that no recovery key has"),
    (lambda lines: [lines[0][:-1] + "\u00fc"] + lines[1:], "Group 5 of line 1"),
    (lambda lines: [], "given are 0 signs"),
])
def test_other_errors(change, words):
    lines = write_recovery_key(KeyFile(bytes(range(40))))
    with pytest.raises(KeyAccessError, match=words) as error:
        read_recovery_key("\n".join(change(lines)))
    assert not any(group in str(error.value) for line in lines for group in line.split())


def after(words, lines):
    """The lines of docs/format.md that follow the one with these words."""
    with open(FORMAT, encoding="utf-8") as handle:
        text = handle.read().split(words, 1)[1].split("\n")[1:lines + 1]
    return [line.strip() for line in text]


class Kept:
    """Takes the one object that is put."""

    def put_new(self, name, data):
        self.name, self.data = name, data
        return True


@pytest.mark.skipif(not os.path.exists(FORMAT), reason="docs/format.md is not beside the tests")
def test_values_of_the_format():
    pytest.importorskip("cryptography")
    from ansible_collections.agnostic.recovery.plugins.module_utils.repository.crypto import public_key
    repository_id = bytes(range(16))
    assert after("recovery key, the bytes 00 to 27:", 4) == write_recovery_key(KeyFile(bytes(range(40))))
    private = slots._slot_private_key(b"\3" * 32, repository_id.hex())
    recipient = public_key(private)
    assert after("slot private key with", 2) == [private.hex(), recipient.hex()]
    kept, slot, old, new = Kept(), "0011223344556677", b"\4" * 32, b"\5" * 32
    put_keyring(kept, repository_id.hex(), Keyring(1, (public_key(old),), {slot: recipient}, ()), "now", old)
    assert '"mac":"{0}"'.format(*after("keyring number 1,", 1)) in kept.data.decode("ascii")
    name, one, two = after("grant of the epoch private key", 3)
    assert name == keyring.grant_name(public_key(new), slot)
    grant = bytes.fromhex(one + two)
    assert open_key(keyring._GRANT, grant, private, repository_id + public_key(new), old) == new
