# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys of LUKS volumes: how they are given, for which volume they are, what names the opened volumes have."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.assemble import Hidden
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.luks import LuksKey, opened_names, read_keys
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.model import Volume

UUID = "0F3f8b5e-5a4e-4c39-8f0c-8a2f6f3d9b11"


def test_keys_as_given(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(b"caf\xe9 key")
    keys = read_keys([{"passphrase": "open sesame", "volume": None}, {"key_file": str(path), "volume": "sda3"}])
    assert [(key.secret, key.volume) for key in keys] == [("open sesame", ""), ("caf\udce9 key", "sda3")]
    assert "sesame" not in repr(keys) and "caf" not in repr(keys)


@pytest.mark.parametrize("given, words", [
    ({}, "passphrase or a key_file"),
    ({"passphrase": "x", "key_file": "/x"}, "not both"),
    ({"passphrase": "first\nsecond"}, "line feed"),
    ({"key_file": "/absent/key"}, "/absent/key cannot be read: No such file"),
])
def test_what_is_no_key(given, words):
    with pytest.raises(TargetError, match=words) as caught:
        read_keys([given])
    assert "second" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"secret\n", b"secret\0more", b"secret" * 10000])
def test_key_files_that_libguestfs_cannot_take(tmp_path, content):
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(TargetError, match="luksAddKey") as caught:
        read_keys([{"key_file": str(path)}])
    assert "secret" not in str(caught.value)


def test_which_volume_a_key_is_for():
    assert LuksKey("x").is_for("sda3", UUID)
    assert LuksKey("x", "sda3").is_for("sda3", UUID)
    assert LuksKey("x", UUID.lower()).is_for("sda3", UUID)
    assert not LuksKey("x", "sda4").is_for("sda3", UUID)


def test_names_by_crypttab():
    vault = Volume("sda", 3, "/x", 0, 1, Content("luks", UUID))
    plain = Volume("sda", 4, "/x", 0, 1, Content("ext4", "1"))
    table = f"# a comment\nvault UUID={UUID.lower()} none luks\nswap /dev/sda4 /dev/urandom swap\n\nalone\nsecond /dev/sda3 /key\n"
    assert opened_names(table, (vault, plain)) == {"vault": vault, "second": vault}


def test_whether_an_appliance_may_help():
    assert not Hidden(()).may_be_opened and not Hidden(("luks",)).may_be_opened
    assert Hidden(("luks",), True).may_be_opened and Hidden(("luks", "lvm2")).may_be_opened
    assert "luks_keys" in Hidden(("luks",)).words and "luks_keys" not in Hidden(("md",)).words and Hidden(()).words == ""
