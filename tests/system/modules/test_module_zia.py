# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""image_export and image_import as playbooks run them."""

import os
import re


def test_export_and_import(play, repository, image, tmp_path):
    path = "{{ folder }}/web1.zia"
    text = play.run([
        play.task("image_export", "exported", machine="web1", path=path),
        play.task("image_export", "again", machine="web1", path=path),
        play.task("image_import", "imported", path=path, repository={"path": "{{ folder }}/other"}),
        play.task("image_import", "known", path=path, repository={"path": "{{ folder }}/other"}, attach=False),
        play.results("exported", "again", "imported", "known"),
    ])
    result = play.result()
    assert result["exported"]["changed"] and result["exported"]["size"] == os.path.getsize(str(tmp_path / "web1.zia"))
    assert not result["again"]["changed"]
    assert (result["imported"]["changed"], result["imported"]["made"], result["imported"]["image"]["id"]) == (True, True, image["id"])
    assert not result["known"]["changed"] and not result["known"]["stored"]
    assert re.search(r"^image_export: \[web1\] " + image["id"] + r": exported to /\S+/web1.zia, 20\.\d MiB", text, re.M), text
    assert re.search(r"^image_import: \[web1\] " + image["id"] + r": imported, 20\.\d MiB new", text, re.M), text


def test_check_mode_and_failure(play, repository, image, tmp_path):
    path = "{{ folder }}/web1.zia"
    text = play.run([play.task("image_export", machine="web1", path=path)], "--check")
    assert "would export " + image["id"] in text and not (tmp_path / "web1.zia").exists()
    (tmp_path / "web1.zia").write_bytes(b"something else")
    text = play.run([dict(play.task("image_import", path=path), ignore_errors=True)])
    assert play.result()["failed"] and play.result()["error_type"] == "DamagedObjectError", text
