# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wheels on their way to a host that is this machine, run by its shell."""

import subprocess
import sys
import zipfile

import pytest

pytest.importorskip("ansible")

from ansible.errors import AnsibleActionFail        # noqa: E402
from ansible_collections.agnostic.recovery.plugins.plugin_utils.engine_host import EngineHost, NoAnswer     # noqa: E402
from ansible_collections.agnostic.recovery.plugins.plugin_utils.pack import build_engine        # noqa: E402
from ansible_collections.agnostic.recovery.plugins.plugin_utils.wheels import bundle_wheels, wheels_name        # noqa: E402


@pytest.fixture
def folder(tmp_path):
    """A folder with a wheel of a library that shadows one of Python's own, and another."""
    for name, content in (("boto3", "found = 1\n"), ("openstack", "raise RuntimeError('broken')\n")):
        with zipfile.ZipFile(str(tmp_path / (name + "-1.0-py3-none-any.whl")), "w") as wheel:
            wheel.writestr(name + "/__init__.py", content)
    return tmp_path


class LocalHost(EngineHost):
    """Carries through files of a folder; `damage` cuts off what is carried under names that begin so."""

    def __init__(self, place, damage=None):
        super().__init__(self._run, self._put)
        self._place = place
        self._damage = damage
        self.carried = []

    @staticmethod
    def _run(command, data=None):
        result = subprocess.run(["/bin/sh", "-c", command], input=data or b"", stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return {"rc": result.returncode, "stdout": result.stdout.decode(), "stderr": result.stderr.decode()}

    def _put(self, data, name):
        self.carried.append(name)
        path = self._place / name
        path.write_bytes(data[:-1] if self._damage and name.startswith(self._damage) else data)
        return str(path)


def prepared(tmp_path, wheels, **options):
    place = tmp_path / "carried"
    place.mkdir(exist_ok=True)
    host = LocalHost(place, **options)
    host.prepare(build_engine(), str(tmp_path / "jobs"), sys.executable, wheels=wheels)
    return host


def test_the_engine_finds_them_and_a_second_time_nothing_is_carried(folder):
    wheels = bundle_wheels(str(folder))
    assert wheels == bundle_wheels(str(folder))
    host = prepared(folder, wheels)
    libraries = host.ask(["about"])["libraries"]
    assert libraries["boto3"] is True and libraries["openstack"] is False
    assert (folder / "jobs" / wheels_name(wheels) / "boto3" / "__init__.py").exists()
    assert "--libs" in host.command("status", "job")
    assert len(host.carried) == 2 and prepared(folder, wheels).carried == []
    assert prepared(folder, None).ask(["list"]) == {"jobs": []}


def test_damage_on_the_way_is_noticed_and_leaves_nothing(folder):
    wheels = bundle_wheels(str(folder))
    with pytest.raises(NoAnswer, match="altered on its way"):
        prepared(folder, wheels, damage="wheels-")
    assert [path.name for path in (folder / "jobs").iterdir() if "wheels" in path.name] == []


def test_a_folder_without_wheels(tmp_path):
    with pytest.raises(AnsibleActionFail, match="There are no wheels in the folder"):
        bundle_wheels(str(tmp_path))
