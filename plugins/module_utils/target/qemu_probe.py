# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this host's QEMU can do, found by trial.

`/dev/kvm` is no promise: on some hosts it exists, guests start on it, and then crawl or hang (nested virtualisation that is switched off or
emulated). So KVM is used only after a small boot program has done real work on it within a time limit. The verdict is kept until the host
boots again; a bad one for an hour only, because it may come from a host that was very busy.
"""

# The library knows no AnsibleModule, whose run_command the rule asks for.
# pylint: disable=ansible-bad-function

import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from typing import NamedTuple

from ..errors import TargetError

TRIAL_SECONDS = 2.0
_DOUBT_SECONDS = 3600.0
# The four denials that libvirt uses as well: https://libvirt.org/kbase/qemu-passthrough-security.html
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
_PROGRAMS = ("qemu-system-x86_64", "/usr/libexec/qemu-kvm")

# A boot sector. Real mode -> protected mode -> long mode with paging (as every kernel does), then 2^25 turns of a loop that writes to
# memory, then "K" on the first serial port. With KVM the loop takes some 20 ms; where the host emulates each instruction it takes many seconds.
#
#   cli; ax = ds = es = ss = 0; sp = 0x7c00; cld
#   di = 0x1000; cx = 0x1800; rep stosw                       page tables: 0x1000 PML4, 0x2000 PDPT, 0x3000 PD
#   [0x1000] = 0x2003; [0x2000] = 0x3003; [0x3000] = 0x83     the first 2 MiB, one to one
#   lgdt; cr0 |= PE; ljmp 8:prot
#   prot: ds = ss = 16; cr4 |= PAE; cr3 = 0x1000; EFER |= LME; cr0 |= PG; ljmp 24:long
#   long: ecx = 0x02000000; 1: [0x8000] = ecx; ecx -= 1; jnz 1b; out 0x3f8, 'K'; 2: hlt; jmp 2b
_TRIAL_PROGRAM = bytes.fromhex(
    "fa31c08ed88ec08ed0bc007cfcbf0010b90018f3abc70600100320c70600200330c706003083000f0116b07c0f20c00c010f22c0ea397c080066b810008ed88ed0"
    "0f20e083c8200f22e0b8001000000f22d8b9800000c00f320d000100000f300f20c00d000000800f22c0ea727c00001800b900000002890c2500800000ffc975f5"
    "baf8030000b04beef4ebfd0f1f000000000000000000ffff0000009acf00ffff00000092cf00ffff0000009aaf001f00907c0000")


class Abilities(NamedTuple):
    program: str          # path of the QEMU program
    kvm: bool
    kvm_reason: str       # why not, or how fast the trial was
    sandbox: bool         # -sandbox works


def find_program():
    """Path of the QEMU system emulator. Raises TargetError naming the package to install."""
    for name in _PROGRAMS:
        path = shutil.which(name)
        if path:
            return path
    raise TargetError("QEMU is not installed on this host: install qemu-system-x86 (Debian, Ubuntu), qemu-kvm (Red Hat and its relatives) "
                      "or qemu-x86 (SUSE).")


def abilities(program=None, cache=None):
    """What QEMU can do here; from the cache where the host has not booted since. Returns Abilities.

    :param cache: path of the cache file; default in the user's cache directory.
    """
    program = program or find_program()
    cache = cache or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "agnostic.recovery", "qemu.json")
    key = _cache_key(program)
    known = _read_cache(cache, key)
    if known is None:
        kvm, reason = try_kvm(program)
        known = Abilities(program, kvm, reason, try_sandbox(program))
        _write_cache(cache, key, known)
    return known


def try_kvm(program, device="/dev/kvm", seconds=TRIAL_SECONDS):
    """Trial start. Returns (usable, reason)."""
    if not os.path.exists(device):
        return False, f"{device} does not exist"
    if not os.access(device, os.R_OK | os.W_OK):
        return False, f"this user may not use {device}"
    took, log = run_trial(program, ["-accel", "kvm", "-cpu", "host"], seconds)
    if took is not None:
        return True, f"the trial guest ran in {took:.2f} s"
    return False, log or f"{device} exists but the trial guest did not finish within {seconds:g} s"


def run_trial(program, accel, seconds):
    """Boots the trial program. Returns (seconds that it took, None where it did not finish; QEMU's own error, one line)."""
    with tempfile.TemporaryDirectory(prefix="agnostic-recovery-") as folder:
        disk = os.path.join(folder, "trial.raw")
        with open(disk, "wb") as image:
            image.write(_TRIAL_PROGRAM.ljust(510, b"\0") + b"\x55\xaa")
            image.truncate(1 << 20)             # SeaBIOS does not boot from virtio disks much smaller than this
        command = [program] + accel + [
            "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc", "-m", "32", "-serial", "stdio",
            "-drive", f"if=none,id=trial,format=raw,read-only=on,file={disk}", "-device", "virtio-blk-pci,drive=trial,bootindex=0,romfile="]
        with open(os.path.join(folder, "log"), "w+b") as log:
            began = time.monotonic()
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd=folder)
            try:
                finished = _wait_for_byte(process.stdout, b"K", began + seconds)
                took = time.monotonic() - began
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
            log.seek(0)
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
    return (took, "") if finished else (None, lines[-1] if lines else "")


def _wait_for_byte(stream, wanted, deadline):
    while True:
        ready = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]
        if not ready:
            return False
        data = os.read(stream.fileno(), 4096)
        if not data or wanted in data:
            return bool(data)


def try_sandbox(program):
    """Tells whether this QEMU was built with, and this host allows, system call filtering."""
    command = [program, "-sandbox", SANDBOX, "-machine", "none", "-nodefaults", "-no-user-config", "-display", "none", "-S"]
    command += ["-qmp", "stdio"]
    script = b'{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n'
    try:
        done = subprocess.run(command, input=script, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _cache_key(program):
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            boot = stream.read().strip()
        status = os.stat(program)
        return f"{boot} {program} {status.st_mtime_ns} {status.st_size} uid={os.geteuid()}"
    except OSError as error:
        raise TargetError(f"Cannot look at {program}: {error}.") from error


def _read_cache(path, key):
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
        if data.get("key") != key or not (data["kvm"] or 0 <= time.time() - data["time"] < _DOUBT_SECONDS):
            return None
        return Abilities(str(data["program"]), bool(data["kvm"]), str(data["kvm_reason"]), bool(data["sandbox"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write_cache(path, key, known):
    """A cache that cannot be written costs two seconds at the next start, nothing else."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".qemu-")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(dict(known._asdict(), key=key, time=time.time()), stream)
        os.replace(temporary, path)
    except OSError:
        pass
