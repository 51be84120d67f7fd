# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Engine jobs as playbooks run them: capture, info, verify, restore, and what can go wrong on the way."""

import os
import re
import subprocess
import sys
import threading
import time

import pytest
from conftest import SECRET

CAPTURE_LINE = re.compile(r"^image_capture: \[web1\] sda +\d+% \d+\.\d/64\.0 MiB", re.M)


def same(one, other):
    return subprocess.run(["cmp", one, other], stdin=subprocess.DEVNULL, check=False).returncode == 0


def test_capture_info_verify_restore(any_play, disk, tmp_path):
    play = any_play
    text = play.run([
        play.task("repository_init", "init"),
        play.capture(register="captured"),
        play.task("image_info", "info", machine="web1"),
        play.task("image_verify", "verified", level="full"),
        play.restore("{{ folder }}/restored.raw", register="restored"),
        play.results("init", "captured", "info", "verified", "restored"),
    ])
    result = play.result()
    image = result["captured"]["image"]
    assert result["init"]["changed"] and result["init"]["repository"]["encrypted"]
    assert result["captured"]["changed"] and result["captured"]["job"]["answer"] == "started"
    assert [found["id"] for found in result["info"]["images"]] == [image["id"]]
    assert result["verified"]["verified"]["images"] == [image["id"]] and not result["verified"]["changed"]
    assert result["restored"]["image"]["id"] == image["id"] and result["restored"]["changed"]
    assert same(disk, str(tmp_path / "restored.raw"))
    assert CAPTURE_LINE.search(text), text
    assert re.search(r"^image_capture: \[web1\] started job capture-web1-[0-9a-f]{16}$", text, re.M)
    assert re.search(r"^image_capture: \[web1\] " + image["id"] + r": captured 64\.0 MiB, 20\.\d MiB new, in \d+s$", text, re.M)
    assert re.search(r"^image_verify: \[web1\] no damage in 1 images, 20\.\d MiB in \d+ chunks", text, re.M)
    assert re.search(r"^image_restore: \[web1\] " + image["id"] + r": restored sda, wrote 20\.\d MiB", text, re.M)
    assert all(state["collected"] for state in play.jobs().values())


def test_every_python_of_hosts(play, repository, disk, host_python, tmp_path):
    play.run([play.capture(python=host_python), play.task("image_verify", level="full", python=host_python),
              play.restore("{{ folder }}/restored.raw", python=host_python)])
    assert same(disk, str(tmp_path / "restored.raw"))


def test_no_secret_is_shown_anywhere(play, disk, tmp_path):
    """Not in the most talkative output, not in the process list or an environment, not in any file but the one it came from."""
    seen = []
    done = threading.Event()
    secret = SECRET.encode()
    by_passphrase = {"passphrase": "{{ passphrase }}", "key_file": None}
    restore = play.restore("{{ folder }}/restored.raw", **by_passphrase)
    tasks = [
        play.task("repository_init", capture_credential_file="{{ folder }}/credential", **by_passphrase),
        play.capture(**by_passphrase), play.task("image_verify", **by_passphrase), restore, dict(restore, ignore_errors=True),
        play.task("image_info", **by_passphrase),
        {"ansible.builtin.set_fact": {"credential": "{{ lookup('file', folder ~ '/credential') }}"}, "no_log": True},
        play.capture(machine="web2", key_file=None, capture_credential="{{ credential }}"),
        dict(play.task("image_verify", level="full", key_file=None, passphrase="not " + SECRET[::-1]), ignore_errors=True),
    ]

    def watch():
        while not done.is_set():
            for number in filter(str.isdigit, os.listdir("/proc")):
                for name in ("cmdline", "environ"):
                    try:
                        with open("/proc/{0}/{1}".format(number, name), "rb") as handle:
                            if secret in handle.read():
                                seen.append(number)
                    except OSError:
                        continue
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        text = play.run(tasks, "-vvvv")
    finally:
        done.set()
        watcher.join()
    assert not seen
    assert SECRET not in text
    assert SECRET[::-1] not in text
    credential = (tmp_path / "credential").read_text().strip()
    assert credential not in text
    assert os.stat(str(tmp_path / "credential")).st_mode & 0o777 == 0o600
    for base, _folders, names in os.walk(str(tmp_path)):
        for name in names:
            with open(os.path.join(base, name), "rb") as handle:
                found = secret in handle.read()
            assert found == (name == "vars.json"), name


def test_what_cannot_be_started(play, repository, disk, tmp_path):
    old = tmp_path / "python2"
    old.write_text("#!/bin/sh\nexit 9\n")
    old.chmod(0o755)
    shared = tmp_path / "shared"
    os.symlink(str(tmp_path), str(shared))
    wrong = [
        ({"python": "/nonexistent/python"}, "No Python 3.6 or newer was found on the host; tried: /nonexistent/python."),
        ({"python": str(old)}, "No Python 3.6 or newer was found on the host"),
        ({"job_dir": str(shared)}, "Name another one by job_dir."),
        ({"machine": None}, "missing required arguments: machine"),
        ({"passphrase": SECRET}, "mutually exclusive"),
        ({"disks": [{"name": "sda"}]}, "path found in disks"),
        ({"consistency": "maybe"}, "value of consistency must be one of"),
        ({"unknown": 1}, "unknown"),
        ({"poll": 0}, "poll must be more than 0"),
        ({"key_file": "/nonexistent/key"}, "The key file /nonexistent/key cannot be read"),
        ({"disks": [{"name": "sda", "path": "/nonexistent/disk"}]}, "cannot be opened at /nonexistent/disk"),
        ({"key_file": None, "passphrase": SECRET}, ""),
    ]
    names = ["r{0}".format(number) for number in range(len(wrong))]
    text = play.run([dict(play.capture(register=name, **change), ignore_errors=True) for name, (change, _words) in zip(names, wrong)]
                    + [play.results(*names)])
    for name, (_change, words) in zip(names, wrong):
        found = play.result()[name]
        assert found["failed"] and words in found["msg"], found
    assert SECRET not in text


def test_check_mode(play, image, tmp_path):
    tasks = [play.capture(), play.task("image_verify"), play.restore("{{ folder }}/restored.raw"), play.task("image_info")]
    text = play.run(tasks, "--check")
    assert "would capture 64.0 MiB" in text and "would restore sda of " + image["id"] in text and "no damage in 1 images" in text
    assert not (tmp_path / "restored.raw").exists() and not (tmp_path / "restored.raw.partial").exists()
    assert [found["id"] for found in play.result()["images"]] == [image["id"]]


def test_a_target_that_exists_is_refused_unless_forced(play, image, disk, tmp_path):
    target = tmp_path / "restored.raw"
    target.write_bytes(b"precious")
    plain = dict(play.restore(str(target), register="plain"), ignore_errors=True)
    play.run([
        plain, dict(play.restore(str(target), register="checked"), ignore_errors=True, check_mode=True),
        {"ansible.builtin.set_fact": {"kept": "{{ lookup('file', folder ~ '/restored.raw') }}"}},
        play.restore(str(target), force=True, register="forced"), play.results("plain", "checked", "kept", "forced")])
    result = play.result()
    assert result["kept"] == "precious"
    for name in ("plain", "checked"):
        assert "exists already. Remove it, or say force." in result[name]["msg"]
        assert result[name]["error_type"] == "TargetError"
    assert result["forced"]["changed"] and same(disk, str(target))


def test_a_device_that_holds_something_is_refused_unless_forced(play, image, disk, tmp_path):
    backing = tmp_path / "device.raw"
    with open(str(backing), "wb") as handle:
        handle.truncate(80 << 20)
    if subprocess.run(["mkfs.ext4", "-q", "-F", str(backing)], stdin=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("mkfs.ext4 does not work here")
    made = subprocess.run(["losetup", "--find", "--show", str(backing)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if made.returncode:
        pytest.skip("no loop device: " + made.stderr.decode())
    device = made.stdout.decode().strip()
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    try:
        subprocess.run(["mount", device, str(mounted)], check=True)
        refused = play.restore(device, register="mounted", force=True)
        play.run([dict(refused, ignore_errors=True), dict(refused, register="checked", check_mode=True, ignore_errors=True),
                  play.results("mounted", "checked")])
        for name in ("mounted", "checked"):
            assert "is in use" in play.result()[name]["msg"]
        subprocess.run(["umount", str(mounted)], check=True)
        play.run([dict(play.restore(device, register="plain"), ignore_errors=True), play.restore(device, register="forced", force=True),
                  play.results("plain", "forced")])
        assert "holds content of kind ext4" in play.result()["plain"]["msg"]
        assert play.result()["forced"]["changed"]
        subprocess.run(["cmp", "--bytes", str(64 << 20), device, disk], check=True)
    finally:
        subprocess.run(["umount", str(mounted)], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["losetup", "--detach", device], check=True)


def test_damage_fails_the_verification(play, image, tmp_path):
    chunk = max((path for path in (tmp_path / "repository").glob("chunks/**/*") if path.is_file()), key=lambda path: path.stat().st_size)
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.chmod(0o644)
    chunk.write_bytes(bytes(data))
    text = play.run([dict(play.task("image_verify", level="full"), ignore_errors=True)])
    result = play.result()
    assert result["failed"] and result["error_type"] == "DamagedObjectError"
    assert "1 of 1 images are damaged" in text and result["verified"]["problem_count"] == 1
    assert result["verified"]["problems"][0]["disk"] == "sda"


def test_several_hosts_and_delegation(play, repository, disk):
    for host in ("db1", "worker"):
        play.hosts[host] = dict(play.hosts["web1"])
    text = play.run([
        play.capture(machine="{{ inventory_hostname }}"),
        dict(play.capture(machine="other", register="ignored", python="{{ none_such | default('/usr/bin/python3') }}"),
             delegate_to="worker")], "--limit", "web1,db1", "--forks", "5")
    for host in ("web1", "db1"):
        assert "image_capture: [{0}] {0}/".format(host) in text
        assert "image_capture: [{0} -> worker] ".format(host) in text
        assert play.result(host)["image"]["machine"] == host
    # Both hosts asked the worker for the same capture: one job answered both, or each had its own after the other.
    assert text.count("-> worker] started job capture-other-") + text.count("-> worker] joins job capture-other-") >= 1


def test_the_set_interpreter_is_used_and_lines_can_be_switched_off(play, repository, disk):
    play.hosts["web1"]["ansible_python_interpreter"] = "{{ interpreter }}"
    play.variables["interpreter"] = sys.executable
    text = play.run([play.capture(progress=0), dict(play.capture(), no_log=True)])
    assert "image_capture: [" not in text
    state = next(iter(play.jobs().values()))
    assert state["python"].startswith(sys.version.split()[0])
