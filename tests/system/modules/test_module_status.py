# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook status.yml, as monitoring runs it."""

import json
import os
import time

PLAYBOOK = "agnostic.recovery.status"
LINES = """\
agnostic_recovery_image_created_timestamp_seconds{{machine="shop"}} {created}
agnostic_recovery_image_size_bytes{{machine="shop"}} {size}
agnostic_recovery_image_stored_new_bytes{{machine="shop"}} {stored_new}
agnostic_recovery_image_used_bytes{{machine="shop"}} {used}
agnostic_recovery_images{{machine="db1"}} 0
agnostic_recovery_images{{machine="shop"}} 1
agnostic_recovery_rpo_met{{machine="db1"}} 0
agnostic_recovery_rpo_met{{machine="shop"}} 1
agnostic_recovery_rpo_seconds{{machine="db1"}} 900
agnostic_recovery_rpo_seconds{{machine="shop"}} 86400
"""


def status(play, fails=False, **variables):
    play.hosts = {
        "web1": {"dr_machine": "shop", "dr_rpo": "24h"},
        "db1": {"dr_rpo": "15m"},
    }
    for host in play.hosts.values():
        host.update(dr_repository=play.variables["repository"], dr_repository_key_file=play.variables["key"])
        host.update(variables)
    return play.run_playbook(PLAYBOOK, fails=fails)


def test_status(play, repository, disk, tmp_path):
    play.run([play.capture(machine="shop")])
    image = play.result()["image"]
    text = status(play, dr_status_json=str(tmp_path / "status.json"), dr_status_metrics=str(tmp_path / "status.prom"))
    assert "1 images, newest {0} (offline), ".format(image["created"]) in text and "; RPO 24h: met" in text
    assert "no image; RPO 15m: NOT MET" in text
    found = json.loads((tmp_path / "status.json").read_text())
    assert [(machine["machine"], machine["met"], machine["image"]) for machine in found["machines"]] == [
        ("shop", True, image["id"]), ("db1", False, None)]
    assert 0 <= found["machines"][0]["age"] < time.time()
    created = found["machines"][0]["created"]
    stamp = int(time.mktime(time.strptime(created, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone)
    assert (tmp_path / "status.prom").read_text() == LINES.format(
        created=stamp, size=image["size"], used=image["used"], stored_new=image["stored_new"])
    assert "; RPO" not in status(play, dr_rpo="", dr_rpo_fail=False)
    text = status(play, fails=True, dr_rpo_fail=True)
    assert "There is no image of this machine." in text and "failed=1" in text


def test_an_old_image_fails_if_asked_to(play, repository, disk):
    play.run([play.capture(machine="db1"), play.capture(machine="shop", register="other")])
    time.sleep(1.1)
    text = status(play, fails=True, dr_rpo_fail=True, dr_rpo="1s")
    assert "The newest image is older than 1s." in text and text.count("failed=1") == 2


def test_all_machines_of_the_repository(play, repository, disk, tmp_path):
    play.run([play.capture(machine="one", register="first"), play.capture(machine="two", register="second"),
              play.task("rpo_info", register="all"),
              dict(play.task("rpo_info", register="wrong", machines=[{"name": "one", "rpo": "soon"}]), ignore_errors=True),
              play.results("all", "wrong")])
    result = play.result()
    assert [(machine["machine"], machine["met"]) for machine in result["all"]["machines"]] == [("one", None), ("two", None)]
    assert result["all"]["met"] is True
    assert "'soon' is no duration" in result["wrong"]["msg"]
    for path in (tmp_path / "repository" / "images" / "one").iterdir():
        os.chmod(str(path), 0o644)
        path.write_bytes(path.read_bytes()[:-1])
    play.run([play.task("rpo_info", machines=[{"name": "one", "rpo": "1h"}])])
    result = play.result()
    assert result["machines"][0]["images"] == 1 and result["machines"][0]["image"] is None and result["met"] is False
    assert len(result["damaged"]) == 1
