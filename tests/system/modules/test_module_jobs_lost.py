# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Engine jobs whose controller, connection or process is lost on the way."""

import json
import os
import re
import signal
import subprocess
import time


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
    raise AssertionError("it did not come to that")


def stop_capture(play, *later, **options):
    """Start a playbook that captures, stop the engine in the midst of it; returns (ansible-playbook, the job's state)."""
    process = play.start([play.capture(**options)] + list(later))
    state = wait_until(lambda: next((state for state in play.jobs().values() if state["phase"] == "capture"), None))
    os.kill(state["process"]["pid"], signal.SIGSTOP)
    return process, state


def go_on(state):
    os.kill(state["process"]["pid"], signal.SIGCONT)


def kill(process):
    """Kill a controller as a crash does. Its worker processes may be in process groups of their own, and live on for a while."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wrapped_python(tmp_path):
    """A host's Python through which nothing goes while the file `gone` is there: as ssh fails when the network is gone."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n"
                      "[ -e '{0}/gone' ] && {{ echo 'no route to host' >&2; exit 255; }}\n"
                      "exec /usr/bin/python3 \"$@\"\n".format(tmp_path))
    python.chmod(0o755)
    return str(python)


def test_another_controller_joins(play, repository, disk):
    process, state = stop_capture(play)
    kill(process)
    again = play.start([play.capture(register="captured"), play.task("image_info", "info"), play.results("captured", "info")])
    play.read_until(again, "joins job " + state["id"])
    go_on(state)
    text = again.communicate(timeout=120)[0].decode()
    assert again.returncode == 0, text
    result = play.result()
    assert result["captured"]["job"]["answer"] == "joined"
    assert [image["id"] for image in result["info"]["images"]] == [result["captured"]["image"]["id"]]


def test_a_result_that_nobody_saw_is_handed_out_once(play, repository, disk):
    process, state = stop_capture(play)
    kill(process)
    go_on(state)
    ended = wait_until(lambda: next((found for found in play.jobs().values() if found["status"] != "running"), None))
    text = play.run([play.capture(register="first"), play.capture(register="second"), play.results("first", "second")])
    assert "job {0} ended while nobody looked".format(state["id"]) in text
    result = play.result()
    assert result["first"]["job"]["answer"] == "handed_out"
    assert result["first"]["image"]["id"] == ended["result"]["image"]["id"]
    assert result["second"]["job"]["answer"] == "started"
    assert result["second"]["image"]["parent"] == ended["result"]["image"]["id"]


def test_a_killed_job_fails_the_task_and_the_next_starts_anew(play, repository, disk):
    process = play.start([
        dict(play.capture(register="first"), ignore_errors=True), play.capture(register="second"), play.results("first", "second")])
    state = wait_until(lambda: next((state for state in play.jobs().values() if state["phase"] == "capture"), None))
    os.kill(state["process"]["pid"], signal.SIGKILL)
    text = process.communicate(timeout=120)[0].decode()
    assert process.returncode == 0, text
    result = play.result()
    assert result["first"]["failed"] and result["first"]["error_type"] == "Died" and result["first"]["job"]["status"] == "died"
    assert "is gone without a word, in phase 'capture'" in result["first"]["msg"] and "start anew" in result["first"]["msg"]
    assert result["second"]["changed"] and result["second"]["job"]["answer"] == "started"


def test_a_lost_connection_is_waited_out(play, repository, disk, tmp_path):
    process, state = stop_capture(play, python=wrapped_python(tmp_path))
    (tmp_path / "gone").write_text("")
    lines = play.read_until(process, "no answer from the host; the job goes on, asking again for 5m00s")
    assert "no route to host" in lines[-1]
    go_on(state)
    time.sleep(2)
    (tmp_path / "gone").unlink()
    text = process.communicate(timeout=120)[0].decode()
    assert process.returncode == 0, text
    assert "no answer" not in text          # it is said once
    assert text.count("the host answers again") == 1
    assert "captured 64.0 MiB" in text


def test_a_connection_that_stays_lost_is_told_with_the_way_back(play, repository, disk, tmp_path):
    process, state = stop_capture(play, python=wrapped_python(tmp_path), reconnect=2)
    (tmp_path / "gone").write_text("")
    text = process.communicate(timeout=120)[0].decode()
    assert process.returncode != 0
    assert "gave no answer for 2s" in text and "goes on there. Run the task again to join it" in text
    (tmp_path / "gone").unlink()
    go_on(state)
    command = re.search("`([^`]* cancel [^`]*)`", text).group(1).split()
    assert command[-2:] == ["cancel", state["id"]]
    answer = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout
    assert json.loads(answer.decode())["state"]["status"] in ("cancelled", "finished")


def test_a_lost_ssh_connection_is_waited_out(play, repository, disk, ssh_server):
    play.hosts["web1"].update(ssh_server.variables())
    process, state = stop_capture(play)
    ssh_server.cut()
    play.read_until(process, "no answer from the host; the job goes on, asking again for 5m00s")
    go_on(state)
    ssh_server.start()
    text = process.communicate(timeout=120)[0].decode()
    # The last task, which keeps the result, is a module and finds no Python.
    assert "the host answers again" in text and "captured 64.0 MiB" in text, text
