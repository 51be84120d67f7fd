# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The golden repositories of tests/golden, and how the damaged ones are made of them. See tests/golden/make.py."""

import json
import os
import shutil

from ansible_collections.agnostic.recovery.plugins.module_utils.image.container import ContainerWriter, read_container

TESTS = os.path.dirname(os.path.abspath(__file__)).partition(os.path.join("tests", "unit"))[0] + "tests"
GOLDEN = os.path.join(TESTS, "golden")

with open(os.path.join(GOLDEN, "golden.json")) as _file:
    _DATA = json.load(_file)

REPOSITORIES = _DATA["repositories"]
DAMAGED = _DATA["damaged"]
KEYS = {"encrypted": ("passphrase", "key-file"), "plain": ("",)}


def read(*names):
    with open(os.path.join(GOLDEN, *names), "rb") as file:
        return file.read()


def damaged_copy(case, place):
    """A copy of the case's repository (or ZIA file) at `place`, damaged as the case says."""
    source = os.path.join(GOLDEN, case["repository"])
    if os.path.isdir(source):
        shutil.copytree(source, place)
    else:
        shutil.copy(source, place)
    for step in case["damage"]:
        _STEPS[step[0]](place, *step[1:])
    crafted = os.path.join(GOLDEN, "crafted", case["name"])
    if case["crafted"]:
        for folder, _folders, files in os.walk(crafted):
            for name in files:
                path = os.path.join(folder, name)
                shutil.copy(path, os.path.join(place, os.path.relpath(path, crafted)))


def _flip(place, name, at):
    path = os.path.join(place, name) if name else place
    with open(path, "rb") as file:
        data = bytearray(file.read())
    data[at] ^= 1
    with open(path, "wb") as file:
        file.write(data)


def _cut(place, name, length):
    """Keep the first `length` bytes; all but so many if it is negative."""
    path = os.path.join(place, name) if name else place
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(data[:length])


def _append(place, _name, text):
    with open(place, "ab") as file:
        file.write(text.encode("ascii"))


def _remove(place, name):
    os.unlink(os.path.join(place, name))


def _exchange(place, first, second):
    first, second = os.path.join(place, first), os.path.join(place, second)
    os.rename(first, first + ".moved")
    os.rename(second, first)
    os.rename(first + ".moved", second)


def _rewrite(place, change):
    """The ZIA file with every object as `change(name, data)` gives it; None leaves it out. The end mark is made anew."""
    with open(place, "rb") as file:
        objects = list(read_container(file, place))
    with open(place, "wb") as file:
        writer = ContainerWriter(file)
        for name, data in objects:
            changed = change(name, data)
            if changed is not None:
                writer.add(name, changed)
        writer.finish()


def _lack(place, _name, prefix):
    _rewrite(place, lambda name, data: None if name.startswith(prefix) else data)


def _give(place, _name, receiver, giver):
    with open(place, "rb") as file:
        content = dict(read_container(file, place))[giver]
    _rewrite(place, lambda name, data: content if name == receiver else data)


_STEPS = {"flip": _flip, "cut": _cut, "append": _append, "remove": _remove, "exchange": _exchange, "lack": _lack, "give": _give}
