# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""YAML with places; PyYAML, where it is installed, says what each text means."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import MachineError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.network.yaml_text import parse_yaml, plain

GOOD = {
    "nothing": "",
    "comment": "# nothing\n\n",
    "document": "# first\n---\na: b\n",
    "nested": "a:\n  b:\n    c: d\n  e: f\ng: h",
    "list in the column of its key": "a:\n- b\n- c\nd:\n  - e\n",
    "maps in a list": "a:\n  - to: default\n    via: 192.0.2.1\n  -\n    to: x\n  - - y\n    - z\n",
    "flow": "a: {b: [c, 'd', {e: f}], g: 1}\nh: []\ni: {}\n",
    "flow over lines": "a: [b, # first\n    c,\n  ]\nd: {\n  e: f,\n  g: h\n}\n",
    "colons": "a: 2001:db8::1/64\nb: [2001:db8::1, 52:54:00:12:34:56]\nc: {2001:db8::10/64: {label: x}}\n\"d:e\": 'f: g'\n",
    "quotes": "a: 'it''s'\nb: \"x\\ty \\\"z\\\" \\u00e4\"\n'c': \"\"\n",
    "comments": "a: b # c\nd: e#f\n  # indented otherwise\ng: 'h' # i\nj: # k\n  l: m\n",
    "absent values": "a:\nb:\n  c:\n  d: ~\ne:\n- f\n-\n",
    "windows": "a: b\r\nc:\r\n  - d\r\n",
    "words": "a: on the way\nb: -1\nc: -x\nd: a-b\n",
}


@pytest.mark.parametrize("text", [GOOD[name] for name in sorted(GOOD)], ids=sorted(GOOD))
def test_it_means_what_pyyaml_says(text):
    yaml = pytest.importorskip("yaml")
    assert emptied(plain(parse_yaml(text))) == emptied(yaml.load(text, Loader=yaml.BaseLoader))


def emptied(value):
    """PyYAML's BaseLoader gives text for what is null."""
    if isinstance(value, dict):
        return {key: emptied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [emptied(item) for item in value]
    return "" if value in (None, "~") else value


def test_places_are_those_of_the_values():
    text = "# c\na:\n  b: [x, 'y z']   # d\n  e: {f: \"g\"}\n"
    a = parse_yaml(text).get("a")
    assert [text[item.start:item.end] for item in a.get("b").value] == ["x", "'y z'"]
    assert [text[entry.start:entry.end] for entry in a.value] == ["b", "e"]
    assert text[a.get("b").start:a.get("b").end] == "[x, 'y z']"
    assert text[a.get("e").get("f").start:a.get("e").get("f").end] == '"g"'
    assert a.get("nothing") is None and a.get("b").get("x") is None


@pytest.mark.parametrize("text,line", [
    ("a: &x b\n", 1),
    ("a: b\nc: *x\n", 2),
    ("a: !!int 5\n", 1),
    ("a: |\n  b\n", 1),
    ("a: >-\n  b\n", 1),
    ("a: b\n  c\n", 2),
    ("a: b: c\n", 1),
    ("a:\n\tb: c\n", 2),
    ("a: b\n---\nc: d\n", 2),
    ("a: [b\n", 2),
    ("a: {b: c\n", 2),
    ("a: 'b\n", 1),
    ("a: [b]c\n", 1),
    ("a:\n    b: c\n  d: e\n", 3),
    ("a: {b: c]\n", 1),
    ("? a\n", 1),
    ("a: \"\\q\"\n", 1),
    ("@x: y\n", 1),
    ("a\nb\n", 2),
    ("[" * 5000, 1),
    ("- " * 5000, 1),
    ("a: [[[\0", 1),
    ("%YAML 1.2\n---\na: b\n", 1),
    ("a: b\n...\n", 2),
    ("# x\n--- b\n", 2),
    ("--- a: b\n", 1),
    ("---\n---\na: b\n", 2),
], ids=range(27))
def test_all_else_is_refused_with_its_line(text, line):
    with pytest.raises(MachineError, match=f"line {line} is "):
        parse_yaml(text)
