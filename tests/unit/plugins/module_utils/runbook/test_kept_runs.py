# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs have left, in a repository."""

import json

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import KeyAccessError, RecoveryError, RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keyadmin import KeyAdministration
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import CaptureCredential, KeyFile, NoKey
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import (
    export_capture_credential, init_repository, open_repository)
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.store import RUNS
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.kept_runs import (
    find_failover, keep_run, list_runs, read_files, read_run)

KEY = KeyFile(b"\7" * 64)
NOW = 1795000000.0
RUN = "drill-20261201T020000Z-1f2e3d4c"
FILES = {"evidence.json": '{"passed": true}\n', "report.html": "<p>\u00e4\U0001f600</p>"}


@pytest.fixture(name="store", params=["encrypted", "plain"])
def fixture_store(request, tmp_path):
    if request.param == "encrypted":
        pytest.importorskip("cryptography")
    with DirectoryStore(str(tmp_path / "repository")) as store:
        store.key = KEY if request.param == "encrypted" else NoKey()
        init_repository(store, store.key, chunk_size=4096, encrypted=request.param == "encrypted")
        yield store


def test_kept_once_and_read_again(store):
    repository = open_repository(store, store.key)
    assert keep_run(repository, RUN, FILES, NOW, check=True) and list_runs(repository) == []
    assert [keep_run(repository, RUN, files, NOW) for files in (FILES, FILES, dict(FILES, **{"journal.jsonl": "{}\n"}))] == [True, False, True]
    assert read_run(repository, RUN) == dict(FILES, **{"journal.jsonl": "{}\n"}) and list_runs(repository) == [RUN]
    assert len(list(store.list(RUNS))) == 2
    with pytest.raises(RepositoryError, match="keeps no run drill-1. It keeps " + RUN):
        read_run(repository, "drill-1")


def test_the_newest_failover_of_a_plan(store):
    repository = open_repository(store, store.key)
    assert find_failover(repository, "plan-1") == ""
    for run, plan in (("failover-20261201T020000Z-1f2e", "plan-1"), ("failover-20261202T020000Z-1f2e", "plan-1"),
                      ("failover-20261203T020000Z-1f2e", "plan-2"), ("drill-20261204T020000Z-1f2e", "plan-1")):
        begin = {"type": "begin", "run": run, "kind": "failover", "attributes": {"plan": plan}, "time": "2026-12-01T02:00:00.000Z"}
        keep_run(repository, run, {"journal.jsonl": json.dumps(begin) + "\n{torn"}, NOW)
    keep_run(repository, "failover-20261205T020000Z-1f2e", FILES, NOW)          # without a journal
    assert find_failover(repository, "plan-1") == "failover-20261202T020000Z-1f2e" and find_failover(repository, "plan-3") == ""


def test_damage_is_told(store):
    repository = open_repository(store, store.key)
    with pytest.raises(RepositoryError, match="It keeps none"):
        read_run(repository, RUN)
    keep_run(repository, RUN, FILES, NOW)
    name, = store.list(RUNS)
    content = bytearray(store.get(name))
    content[-20] ^= 1
    store.delete(name)
    store.put_new(name, bytes(content))
    with pytest.raises(RepositoryError, match="cannot be used"):
        read_run(repository, RUN)


def test_those_of_an_older_epoch_are_read_and_none_by_a_source(store):
    if store.key == NoKey():
        pytest.skip("an unencrypted repository has no epochs and no capture credential")
    repository = open_repository(store, store.key)
    keep_run(repository, RUN, FILES, NOW)
    KeyAdministration(store, KEY).begin_epoch(2)
    renewed = open_repository(store, KEY)
    assert read_run(renewed, RUN) == FILES and not keep_run(renewed, RUN, FILES, NOW)
    source = open_repository(store, CaptureCredential(export_capture_credential(renewed)))
    with pytest.raises(KeyAccessError, match="capture credential opens no files of the run"):
        read_run(source, RUN)


def test_the_folder_of_a_run(tmp_path):
    (tmp_path / "journal.jsonl").write_text("{}\n")
    (tmp_path / "other").write_text("left out")
    assert read_files(str(tmp_path)) == {"journal.jsonl": "{}\n"}
    with pytest.raises(RecoveryError, match="is no folder of a run"):
        read_files(str(tmp_path / "nowhere"))
    (tmp_path / "report.html").write_bytes(b"\xff\xfe")
    with pytest.raises(RecoveryError, match="cannot be read"):
        read_files(str(tmp_path))
