# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys that commands give: real commands, and every way in which one can fail."""

import os
import sys
import time

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import KeyAccessError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository import commands, crypto, slots
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.commands import passphrase_from, run_command
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keyadmin import KeyAdministration
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import KeyCommand, KeyFile, Passphrase
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import init_repository, open_repository

KEY_FILE = KeyFile(b"\7" * 64)
ROT13 = ("tr", "A-Za-z", "N-ZA-Mn-za-m")
PYTHON = (sys.executable, "-c")


@pytest.fixture(name="store")
def fixture_store(tmp_path):
    pytest.importorskip("cryptography")
    with DirectoryStore(str(tmp_path / "repository")) as store:
        init_repository(store, KEY_FILE)
        yield store


def test_what_a_command_gets_and_gives():
    assert run_command(["cat"], b"\0\xff") == b"\0\xff"
    assert run_command(PYTHON + ("import sys; print(sys.argv[1:])", "$HOME; ls", "*")) == b"['$HOME; ls', '*']\n"
    assert run_command(["true"], b"x" * 1000000) == b""          # need not read what it is given
    assert passphrase_from(["printf", "s\u00fc\u00df  \r\n"]) == Passphrase("s\u00fc\u00df  ")


@pytest.mark.parametrize("command, words", [
    ([], "is empty"), ([""], "is empty"), (["/nonexistent/vault", "read"], "/nonexistent/vault cannot be run on this host: No such file"),
    (["/dev"], "cannot be run on this host: Permission denied"), (["tr\0ue"], "cannot be run on this host"),
    (["sh", "-c", "echo the secret; echo warning >&2; echo permission denied >&2; exit 3"], "failed with status 3: permission denied$"),
    (["false"], "failed with status 1: it says nothing"), (["sh", "-c", "kill -9 $$"], "failed with status -9"),
    (["head", "-c", "20000", "/dev/zero"], "printed 20000 bytes"),
])
def test_commands_that_fail(command, words):
    with pytest.raises(KeyAccessError, match=words) as error:
        run_command(command)
    assert "the secret" not in str(error.value)


@pytest.mark.parametrize("text, words", [("", "printed no passphrase"), ("\n\n", "printed no passphrase"), ("\\377", "not UTF-8")])
def test_what_is_no_passphrase(text, words):
    with pytest.raises(KeyAccessError, match=words):
        passphrase_from(["printf", text])


def test_a_command_that_hangs_is_ended_with_its_children(monkeypatch, tmp_path):
    monkeypatch.setattr(commands, "SECONDS", 0.5)
    note = str(tmp_path / "child")
    with pytest.raises(KeyAccessError, match="did not end within 0.5 seconds"):
        run_command(["sh", "-c", "sleep 1000 & echo $! > " + note + "; wait"])
    with open(note) as handle:
        child = int(handle.read())
    for _attempt in range(100):
        try:
            with open("/proc/{0}/stat".format(child)) as handle:
                if handle.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.05)
    os.kill(child, 9)
    raise AssertionError("the child of the command still runs")


def test_a_command_slot(store):
    KeyAdministration(store, KEY_FILE).add(KeyCommand(ROT13, ROT13), "service")
    secrets = open_repository(store, KEY_FILE).secrets
    assert open_repository(store, KeyCommand(ROT13)).secrets == secrets
    KeyAdministration(store, KeyCommand(ROT13)).begin_epoch(2)
    assert len(open_repository(store, KeyCommand(ROT13)).secrets.private_keys) == 2
    for unwrap, words in ((("cat",), "The command is wrong"), (("true",), "did not print the secret that was wrapped"),
                          (("false",), "failed with status 1"), (("/nonexistent/kms",), "cannot be run on this host")):
        with pytest.raises(KeyAccessError, match=words):
            open_repository(store, KeyCommand(unwrap))


@pytest.mark.parametrize("wrap, unwrap, words", [
    (("cat",), ROT13, "so nothing was changed. Does the command that unwraps undo"),
    (("cat",), ("false",), "nothing was changed. The key command false failed"),
    (("false",), ("cat",), "false failed with status 1"),
    (PYTHON + ("print('x' * 20000)",), ("cat",), "printed 20001 bytes"),
])
def test_commands_that_do_not_fit_make_no_slot(store, wrap, unwrap, words):
    with pytest.raises(KeyAccessError, match=words):
        KeyAdministration(store, KEY_FILE).add(KeyCommand(unwrap, wrap), "service")
    assert len(list(store.list(slots.PREFIX))) == 1


def test_a_failing_command_does_not_hide_another_slot(store, tmp_path):
    """Two command slots of two services: the one that is there opens."""
    gone = tmp_path / "gone"
    gone.write_text("#!/bin/sh\nexec tr A-Za-z N-ZA-Mn-za-m\n")
    gone.chmod(0o755)
    KeyAdministration(store, KEY_FILE).add(KeyCommand((str(gone),), (str(gone),)), "one")
    KeyAdministration(store, KEY_FILE).add(KeyCommand(("rev",), ("rev",)), "two")
    picky = PYTHON + ("import sys; text = sys.stdin.read(); sys.exit(1) if text.endswith('=') else print(text[::-1])",)
    assert open_repository(store, KeyCommand(picky)).can_read      # Base64 of 32 bytes ends in "=", reversed it does not


@pytest.mark.parametrize("refusal", [AttributeError("scrypt"), ValueError("[digital envelope routines] unsupported")])
def test_a_host_without_scrypt_says_what_to_do(tmp_path, monkeypatch, refusal):
    """As in FIPS mode, where OpenSSL refuses it, or Python was built without."""
    pytest.importorskip("cryptography")
    with DirectoryStore(str(tmp_path / "r")) as store:
        init_repository(store, Passphrase("correct horse"))
        (slot,) = slots.list_slots(store, open_repository(store, Passphrase("correct horse")).info.id)
        if slot.type != "scrypt":
            pytest.skip("this host has no scrypt itself")
        if isinstance(refusal, AttributeError):
            monkeypatch.delattr(crypto.hashlib, "scrypt", raising=False)
            from cryptography.hazmat.primitives.kdf import scrypt
            monkeypatch.setattr(scrypt, "Scrypt", None)
        else:
            def refuse(*_arguments, **_options):
                raise refusal
            monkeypatch.setattr(crypto.hashlib, "scrypt", refuse, raising=False)
        with pytest.raises(KeyAccessError, match="cannot derive a key by scrypt .*pbkdf2-hmac-sha512 or a key file works in FIPS mode"):
            open_repository(store, Passphrase("correct horse"))
