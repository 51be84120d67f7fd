# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine as one file."""

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile

from ansible_collections.agnostic.recovery.plugins.plugin_utils import pack


def test_the_same_sources_give_the_same_bytes(tmp_path):
    copy = tmp_path / "elsewhere" / "module_utils"
    shutil.copytree(pack.LIBRARY, str(copy), ignore=shutil.ignore_patterns("__pycache__"))
    for base, _folders, names in os.walk(str(copy)):
        for name in names:
            os.chmod(os.path.join(base, name), 0o600)
            os.utime(os.path.join(base, name), (1e9, 1e9))
    (copy / "job" / "__pycache__").mkdir()
    (copy / "job" / "__pycache__" / "x.py").write_text("no module")
    (copy / "notes.txt").write_text("no module")
    assert pack.build_engine(str(copy)) == pack.build_engine()


def test_other_sources_give_another_name(tmp_path):
    copy = tmp_path / "module_utils"
    shutil.copytree(pack.LIBRARY, str(copy), ignore=shutil.ignore_patterns("__pycache__"))
    with open(str(copy / "errors.py"), "a") as handle:
        handle.write("# changed\n")
    names = {pack.engine_name(pack.engine_digest(pack.build_engine(library))) for library in (str(copy), pack.LIBRARY)}
    assert len(names) == 2


def test_it_holds_the_whole_library_and_nothing_else():
    names = zipfile.ZipFile(io.BytesIO(pack.build_engine())).namelist()
    assert "__main__.py" in names
    assert pack.PACKAGE + "/job/cli.py" in names
    assert pack.PACKAGE + "/errors.py" in names
    assert all(name == "__main__.py" or name.startswith(pack.PACKAGE + "/") and name.endswith(".py") for name in names)
    assert not [name for name in names if "test" in name]


def test_it_runs_on_its_own(tmp_path):
    path = pack.save_engine(pack.build_engine(), str(tmp_path))
    result = subprocess.run([sys.executable, "-I", path, "list"], cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    assert json.loads(result.stdout.decode()) == {"jobs": []}


def test_forks_may_save_it_at_once(tmp_path):
    data = pack.build_engine()
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(pack.save_engine(data, str(tmp_path)))) for _number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 1
    assert os.listdir(str(tmp_path)) == [os.path.basename(paths[0])]
    with open(paths[0], "rb") as handle:
        assert handle.read() == data


def test_hooks_run_from_the_zipapp(tmp_path):
    """Their keeper is a Python of its own that has to find the library in the zip file."""
    path = tmp_path / "engine.pyz"
    path.write_bytes(pack.build_engine())
    program = ("import sys; sys.path.insert(0, sys.argv[1]); from {0}.source.hooks import Hooks; "
               "hooks = Hooks([{{'name': 'one', 'before': 'true', 'after': 'true'}}]); hooks.before_freeze(); hooks.after_thaw(); "
               "assert hooks.succeeded(), hooks.warnings()").format(pack.PACKAGE)
    subprocess.run([sys.executable, "-c", program, str(path)], cwd=str(tmp_path), check=True)
