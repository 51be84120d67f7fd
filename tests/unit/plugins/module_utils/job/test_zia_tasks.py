# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The jobs "export" and "import" as a task runs them: check mode, the same again, what is in the way."""

import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RepositoryError, SourceError, TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.capture import CaptureDisk, capture_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job import identity, tasks
from ansible_collections.agnostic.recovery.plugins.module_utils.job.initialise import ensure_repository
from ansible_collections.agnostic.recovery.plugins.module_utils.job.opening import opened
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges


def options_at(path):
    return {"repository": {"type": "directory", "path": str(path)}, "passphrase": None, "key_file": None}


def capture(options, content):
    with opened(options) as repository:
        disk = CaptureDisk("sda", len(content), 512, lambda offset, length: content[offset:offset + length], Ranges([(0, len(content))]))
        return capture_image(repository, "shop", {}, [disk], "offline", {}, NoProgress()).id


@pytest.fixture(name="options")
def fixture_options(tmp_path):
    """What opens a repository with one image."""
    options = options_at(tmp_path / "repository")
    ensure_repository(dict(options, unencrypted=True, chunk_size=4096, capture_credential_file=None), check=False)
    capture(options, b"content" * 3000)
    return options


def export(options, path, **more):
    return tasks.run(dict(options, kind="export", machine="shop", path=str(path), **more), NoProgress())


def take_in(place, path, **more):
    return tasks.run(dict(options_at(place), kind="import", path=str(path), **more), NoProgress())


def test_there_and_back(options, tmp_path):
    path = tmp_path / "shop.zia"
    would = export(options, path, check=True)
    assert would["changed"] and would["size"] == 0 and not path.exists()
    done = export(options, path)
    assert done["changed"] and done["size"] == path.stat().st_size and done["image"]["machine"] == "shop"
    assert not export(options, path)["changed"] and not export(options, path, force=True, check=True)["changed"]

    place = tmp_path / "other"
    would = take_in(place, path, check=True)
    assert (would["changed"], would["made"], would["image"]) == (True, True, done["image"]) and not place.exists()
    result = take_in(place, path)
    assert (result["changed"], result["made"], result["image"]) == (True, True, done["image"]) and result["stored_objects"]
    again = take_in(place, path)
    assert (again["changed"], again["made"], again["stored"]) == (False, False, 0)
    assert not take_in(place, path, check=True)["changed"]
    verified = tasks.run(dict(options_at(place), kind="verify", level="full"), NoProgress())
    assert "failed" not in verified and verified["verified"]["images"] == [done["image"]["id"]]


def test_what_is_in_the_way_of_an_export(options, tmp_path):
    path = tmp_path / "shop.zia"
    path.write_bytes(b"something else")
    for check in (True, False):
        with pytest.raises(TargetError, match="exists already, and is not image shop/.* say force"):
            export(options, path, check=check)
    assert path.read_bytes() == b"something else"
    assert export(options, path, force=True)["changed"]
    newer = capture(options, b"new content")
    with pytest.raises(TargetError, match="is not image " + newer):
        export(options, path)
    assert export(options, path, force=True)["image"]["id"] == newer


def test_what_is_in_the_way_of_an_import(options, tmp_path):
    with pytest.raises(SourceError, match="cannot be opened: No such file"):
        take_in(tmp_path / "other", tmp_path / "none.zia")
    export(options, tmp_path / "shop.zia")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("Dear all")
    with pytest.raises(RepositoryError, match="holds other files"):
        take_in(tmp_path / "other", tmp_path / "shop.zia")
    assert os.listdir(str(tmp_path / "other")) == ["letter.txt"]


def test_the_same_job():
    spec = {"kind": "export", "machine": "shop", "repository": {"path": "/srv/r"}, "path": "/media/shop.zia"}
    assert identity.job_id(spec) != identity.job_id(dict(spec, path="/media/other.zia"))
    assert identity.resources(spec) == ["write to /media/shop.zia"] and identity.resources(dict(spec, check=True)) == []
    assert identity.resources(dict(spec, kind="import")) == []
    assert not identity.may_be_handed_out(dict(spec, path="/nonexistent/shop.zia"))
