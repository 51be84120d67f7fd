# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nice and ionice of a process, told by the system's own tools."""

import os
import shutil
import subprocess
import sys

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils import priority

PROGRAM = """
import os, subprocess, sys, threading
from ansible_collections.agnostic.recovery.plugins.module_utils.priority import set_priority, urgent
from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RecoveryError
if sys.argv[3:]:
    os.setuid(int(sys.argv[3]))
try:
    set_priority(int(sys.argv[1]), sys.argv[2])
except RecoveryError as error:
    sys.exit(str(error))
def show():
    subprocess.check_call(["nice"])
    subprocess.check_call(["ionice"])
def in_thread():
    thread = threading.Thread(target=show)
    thread.start()
    thread.join()
in_thread()
with urgent():
    in_thread()
in_thread()
"""


def run(*arguments):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    result = subprocess.run([sys.executable, "-c", PROGRAM] + [str(argument) for argument in arguments], env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return result.returncode, (result.stdout + result.stderr).decode().split("\n")


@pytest.mark.parametrize("nice, io_class, told", [
    (7, "idle", "idle"), (19, "best-effort", "best-effort: prio 7"), (3, "none", "none")])
def test_threads_and_children_inherit_it_and_are_urgent_for_a_while(nice, io_class, told):
    if not shutil.which("ionice"):
        pytest.skip("this machine has no ionice (package util-linux)")
    status, lines = run(nice, io_class)
    assert status == 0 and int(lines[0]) == nice and lines[1].startswith(told), lines
    assert lines[0:2] == lines[4:6]
    if os.geteuid() == 0:
        assert lines[2] == "0" and lines[3].startswith("none"), lines


@pytest.mark.parametrize("whole", [True, False])
def test_a_job_is_nice_to_other_sessions(whole):
    if not os.path.exists("/proc/self/autogroup"):
        pytest.skip("this kernel does not group processes by their sessions")
    program = (PROGRAM[:PROGRAM.index("try:")] + "set_priority(7, 'none', whole_session={0})\n".format(whole)
               + "show = lambda: print(open('/proc/self/autogroup').read().split()[-1])\nshow()\nwith urgent():\n    show()\nshow()\n")
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    told = subprocess.run([sys.executable, "-c", program], env=environment, start_new_session=True, stdout=subprocess.PIPE, check=True)
    said = [int(line) for line in told.stdout.split()]
    if os.geteuid() == 0:
        assert said == ([7, 0, 7] if whole else [0, 0, 0])
    else:                # a second change within a tenth of a second is refused
        assert said[0] == (7 if whole else 0)


@pytest.mark.parametrize("text", [None, "", "/autogroup-72 nice 0\n"])
def test_a_process_of_no_session_group_is_made_urgent_as_any_other(monkeypatch, tmp_path, text):
    path = tmp_path / "autogroup"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(priority, "_SESSION_NICE", str(path))
    with priority.urgent():
        assert os.getpriority(os.PRIO_PROCESS, 0) <= 0 or os.geteuid()
    assert (path.read_text() if path.exists() else None) == text


def test_what_is_not_allowed_is_said():
    status, lines = run(-5, "none", 65534) if os.geteuid() == 0 else run(-20, "none")
    assert status == 1 and "cannot run with nice" in lines[0] and "Permission denied" in lines[0]
