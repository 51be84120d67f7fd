# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Console text, pictures, firmware descriptors, connection tables and the cached verdict: the pure parts of the QEMU target."""

import json
import os
import struct
import time
import zlib

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.target import qemu_probe
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_console import (
    TerminalText, fatal_text, last_lines, plain_text, read_console, wait_for_text)
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_firmware import find_firmware
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_network import parse_usernet
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_screen import png_from_ppm

NOISY = (b"\x1b[?2004h\x1b]0;root@shop: ~\x07\x1b[01;32mroot@shop\x1b[00m:~# \xc3\xa9\r\n\x1b(B\x1b[6n\x1b7tab\there\x08\x00\r\n"
         b"\x1b]2;title\x1b\\end\n")
PLAIN = "root@shop:~# \u00e9\ntab\there\nend\n"


def test_terminal_text_is_freed_of_escapes():
    assert plain_text(NOISY) == PLAIN


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_terminal_text_in_pieces(size):
    terminal = TerminalText()
    assert "".join(terminal.feed(NOISY[start:start + size]) for start in range(0, len(NOISY), size)) == PLAIN


def test_an_escape_that_never_ends_holds_nothing_back():
    terminal = TerminalText()
    text = "".join(terminal.feed(piece) for piece in [b"a\x1b]0;", b"x" * 300, b"b\n"])
    assert text.startswith("a") and text.endswith("b\n")


def test_waiting_for_text(tmp_path):
    log = tmp_path / "console.log"
    assert read_console(str(log)) == ""
    with pytest.raises(TargetError, match="within 0 s.*none"):
        wait_for_text(str(log), "login:", 0)
    log.write_bytes(b"first\r\n\r\nsecond\r\nshop login: ")
    assert wait_for_text(str(log), r"^shop \w+:", 0).text == "shop login:"
    assert last_lines(str(log), 2) == "second | shop login:"
    with pytest.raises(TargetError, match="before the guest ended"):
        wait_for_text(str(log), "never", 60, is_alive=lambda: False)


@pytest.mark.parametrize("text, fatal", [
    (b"[ 1.0] Kernel panic - not syncing: VFS: Unable to mount root fs\n", "Kernel panic - not syncing: VFS: Unable to mount root fs"),
    (b"Gave up waiting\r\n(initramfs) ", "(initramfs)"),
    (b"You are in emergency mode. After logging in\n", "You are in emergency mode. After logging in"),
    (b"grub rescue> ", "grub rescue>"),
    (b"shop login: ", ""),
])
def test_a_console_that_gave_up_is_told_from_one_that_goes_on(tmp_path, text, fatal):
    log = tmp_path / "console.log"
    log.write_bytes(text)
    assert fatal_text(str(log)) == ""                   # written a moment ago: it may go on
    os.utime(str(log), (time.time() - 60, time.time() - 60))
    assert fatal_text(str(log)) == fatal


def test_ppm_becomes_png():
    pixels = bytes(range(18))
    png = png_from_ppm(b"P6\n3 2\n255\n" + pixels)
    assert png.startswith(b"\x89PNG\r\n\x1a\n") and struct.unpack(">II", png[16:24]) == (3, 2)
    position, data = 8, b""
    while position < len(png):
        length, kind = struct.unpack(">I4s", png[position:position + 8])
        body = png[position + 8:position + 8 + length]
        assert struct.unpack(">I", png[position + 8 + length:position + 12 + length])[0] == zlib.crc32(kind + body) & 0xFFFFFFFF
        data += body if kind == b"IDAT" else b""
        position += 12 + length
    assert zlib.decompress(data) == b"\0" + pixels[:9] + b"\0" + pixels[9:]


@pytest.mark.parametrize("data", [b"", b"P5\n1 1\n255\n1", b"P6\n2 2\n255\n123", b"P6\n1 1\n65535\n123456"])
def test_wrong_pictures_are_refused(data):
    with pytest.raises(TargetError):
        png_from_ppm(data)


def test_connections_are_read_from_the_monitor():
    text = ("Hub -1 (net0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n"
            "  TCP[ESTABLISHED]   19       127.0.0.1 35171      192.0.2.10    80     0     0\r\n"
            "  TCP[SYN_SENT]      20       127.0.0.1 42503      192.0.2.10  5432     0     0\r\n"
            "  TCP[SYN_SENT]      21       127.0.0.1 35171      192.0.2.10    80     0     0\r\n"
            "  TCP[HOST_FORWARD]  13       127.0.0.1 35171      192.0.2.10    80     0     0\r\n"
            "  UDP[236 sec]       13       192.0.2.10  68      192.0.2.1  67     0     0\r\n")
    assert parse_usernet(text) == {35171: {"ESTABLISHED", "SYN_SENT"}, 42503: {"SYN_SENT"}}


def descriptor(code, variables, machines=("pc-i440fx-*", "pc-q35-*"), features=("acpi-s3",)):
    return {"interface-types": ["uefi"], "features": list(features), "targets": [{"architecture": "x86_64", "machines": list(machines)}],
            "mapping": {"device": "flash", "executable": {"filename": str(code), "format": "raw"},
                        "nvram-template": {"filename": str(variables), "format": "raw"}}}


def test_firmware_is_found_by_its_descriptor(tmp_path):
    share, etc = tmp_path / "share", tmp_path / "etc"
    share.mkdir()
    etc.mkdir()
    for name in ("code", "vars", "other"):
        (tmp_path / name).write_bytes(b"")
    (share / "10-secure.json").write_text(json.dumps(descriptor(tmp_path / "other", tmp_path / "vars", features=("secure-boot",))))
    (share / "20-missing.json").write_text(json.dumps(descriptor(tmp_path / "nothing", tmp_path / "vars")))
    (share / "25-broken.json").write_text("{")
    (share / "27-odd.json").write_text("{}")
    (share / "30-q35.json").write_text(json.dumps(descriptor(tmp_path / "other", tmp_path / "vars", machines=("pc-q35-*",))))
    (share / "40-plain.json").write_text(json.dumps(descriptor(tmp_path / "code", tmp_path / "vars")))
    places = (str(share), str(etc))
    assert find_firmware("pc", places).code == str(tmp_path / "code")
    assert find_firmware("q35", places).code == str(tmp_path / "other")
    (etc / "30-q35.json").write_text("")                # an empty file in /etc hides that of the distribution
    assert find_firmware("q35", places).code == str(tmp_path / "code")
    (etc / "40-plain.json").write_text("")
    with pytest.raises(TargetError, match="ovmf"):
        find_firmware("q35", places)


def test_verdicts_are_kept_and_bad_ones_forgotten_in_time(tmp_path, monkeypatch):
    trials = []
    monkeypatch.setattr(qemu_probe, "try_kvm", lambda program: (trials.append(program) or len(trials) > 1, "reason"))
    monkeypatch.setattr(qemu_probe, "try_sandbox", lambda program: True)
    program = tmp_path / "qemu"
    program.write_text("")
    cache = str(tmp_path / "cache" / "qemu.json")
    assert not qemu_probe.abilities(str(program), cache).kvm and not qemu_probe.abilities(str(program), cache).kvm
    assert len(trials) == 1
    with open(cache, encoding="utf-8") as stream:
        data = json.load(stream)
    with open(cache, "w", encoding="utf-8") as stream:
        json.dump(dict(data, time=data["time"] - 7200), stream)
    assert qemu_probe.abilities(str(program), cache).kvm and len(trials) == 2
    program.write_text("another build")
    qemu_probe.abilities(str(program), cache)
    assert len(trials) == 3
    with open(cache, "w", encoding="utf-8") as stream:
        stream.write("[]")
    qemu_probe.abilities(str(program), cache)
    assert len(trials) == 4


def test_a_missing_device_needs_no_trial():
    assert qemu_probe.try_kvm("/nowhere/qemu", device="/nowhere/kvm") == (False, "/nowhere/kvm does not exist")
