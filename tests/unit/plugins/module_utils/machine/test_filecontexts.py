# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which context a policy gives a path, with libselinux itself as oracle."""

import ctypes
import ctypes.util
import os
import random
import stat
import time

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import MachineError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine import filecontexts
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.filecontexts import FileContexts, parse_rules, parse_substitutions
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.selinux import read_policy
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree

FILE, FOLDER, LINK = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK


def contexts(text, *substitutions):
    rules, wrong = parse_rules(text.encode(), "file_contexts")
    assert wrong == ()
    return FileContexts(rules, [parse_substitutions(part.encode()) for part in substitutions])


def context(policy, path, kind=FILE):
    """None: no rule; "": not to be labelled."""
    rule = policy.lookup(path, kind).rule
    return None if rule is None else rule.context


def test_the_last_rule_holds_and_mere_paths_go_first():
    policy = contexts(
        "/etc/a\\.conf u:r:literal_t:s0\n/.* u:r:default_t:s0\n/etc(/.*)? u:r:etc_t:s0\n/etc/a.* u:r:a_t:s0\n/etc/.*\\.conf u:r:conf_t:s0\n"
    )
    assert context(policy, "/etc/a.conf") == "u:r:literal_t:s0"
    assert context(policy, "/etc/aa.conf") == "u:r:conf_t:s0"
    assert context(policy, "/etc/aa") == "u:r:a_t:s0"
    assert context(policy, "/etc") == "u:r:etc_t:s0"
    assert context(policy, "/etcx") == "u:r:default_t:s0"
    assert policy.lookup("/etc/aa.conf", FILE).rule.origin == "file_contexts, line 5"


def test_types_of_files():
    policy = contexts("/a.* -- u:r:file_t\n/a.* -d u:r:folder_t\n/a.* -l u:r:link_t\n/a.* -s <<none>>\n/b -d u:r:b_t\n")
    assert [context(policy, "/ax", kind) for kind in (FILE, FOLDER, LINK, stat.S_IFSOCK, stat.S_IFIFO)] == [
        "u:r:file_t", "u:r:folder_t", "u:r:link_t", "", None
    ]
    assert [context(policy, "/b", kind) for kind in (FILE, FOLDER)] == [None, "u:r:b_t"]


def test_beginnings_of_paths_are_exchanged():
    policy = contexts(
        "/usr/lib/.* u:r:lib_t\n/data/.* u:r:data_t\n/x u:r:root_t\n",
        "/srv /data\n/srv/lib /lib64\n/old /\n", "# comment\n/lib64 /usr/lib\n/data /nowhere # of no use after it was exchanged once\n/lib\n"
    )
    assert context(policy, "/lib64/a") == "u:r:lib_t"
    assert context(policy, "/lib640") is None
    # The last line first, and then those of the distribution.
    assert context(policy, "/srv/lib/a") == "u:r:lib_t"
    assert context(policy, "/srv/a") is None
    assert context(policy, "/old/x") == "u:r:root_t"


def test_lines_that_are_no_rules():
    rules, wrong = parse_rules(
        b"\n  # comment\n/a u:r:a_t\nonly\n/b -x u:r:b_t\n/c -- none\n/\xff u:r:c_t\n/d u:r\n\t/e\t--\tu:r:e_t:s0 more\r\n/f <<none>>\n/g u:r:t\0x\n",
        "file",
    )
    assert [(rule.pattern, rule.context, rule.origin) for rule in rules] == [
        (b"/a", "u:r:a_t", "file, line 3"), (b"/e", "u:r:e_t:s0", "file, line 9"), (b"/f", "", "file, line 10"),
    ]
    assert wrong == tuple(f"file, line {number}" for number in (4, 5, 6, 7, 8, 11))


def test_a_pattern_that_is_not_understood_is_a_doubt_only_where_it_could_hold():
    policy = contexts("/etc/.* u:r:etc_t\n/etc/(?=a)b.* u:r:clever_t\n/etc/x.* u:r:x_t\n")
    answer = policy.lookup("/etc/abc", FILE)
    assert answer.rule.context == "u:r:etc_t"
    assert [rule.origin for rule in answer.doubts] == ["file_contexts, line 2"]
    assert policy.lookup("/etc/xyz", FILE).doubts == ()
    assert policy.lookup("/usr", FILE).doubts == ()


def test_bytes_of_names_that_are_no_text():
    policy = contexts("/a/.. u:r:two_t\n")
    assert context(policy, "/a/\udcff\udcfe") == "u:r:two_t"
    assert context(policy, "/a/é") == "u:r:two_t"
    assert context(policy, "/a/éé") is None


def test_a_hostile_policy_has_an_end(monkeypatch):
    many = "".join(f"/.*{'(a|b|.)*' * 20}{number}x? u:r:t\n" for number in range(3000))
    policy = contexts(many)
    began = time.process_time()
    with pytest.raises(MachineError, match="more work"):
        for number in range(100):
            policy.lookup("/" + "ab" * 100 + str(number), FILE)
    unclosed = b"/" + b"|[a" * 1000 + b" u:r:t\n"
    FileContexts(parse_rules(unclosed * 1000, "file")[0])
    assert time.process_time() - began < 30
    monkeypatch.setattr(filecontexts, "MAX_RULES", 100)
    with pytest.raises(MachineError, match="more than 100 lines"):
        parse_rules(b"/a u:r:t\n" * 101, "file")


class _Option(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("value", ctypes.c_char_p)]


class Libselinux:
    """selabel_lookup(3) with the file_contexts at a path."""

    BACKEND_FILE, OPTION_PATH = 0, 3       # selinux/label.h

    def __init__(self, path):
        name = ctypes.util.find_library("selinux")
        if name is None:
            pytest.skip("libselinux is not installed")
        self._library = ctypes.CDLL(name)
        self._library.selabel_open.restype = ctypes.c_void_p
        self._library.selabel_lookup_raw.argtypes = [
            ctypes.c_void_p, ctypes.POINTER(ctypes.c_char_p), ctypes.c_char_p, ctypes.c_int
        ]
        self._library.selabel_close.argtypes = [ctypes.c_void_p]
        option = _Option(self.OPTION_PATH, os.fsencode(path))
        self._handle = self._library.selabel_open(self.BACKEND_FILE, ctypes.byref(option), 1)
        assert self._handle

    def lookup(self, path, kind):
        """None: no label."""
        found = ctypes.c_char_p()
        if self._library.selabel_lookup_raw(self._handle, ctypes.byref(found), os.fsencode(path), kind):
            return None
        return found.value.decode()

    def close(self):
        self._library.selabel_close(self._handle)


NAMES = ("a", "b", "etc", "lib", "a.b", "x-y")


def _pattern(state):
    # A first folder with an escape is left out: before version 3.8 libselinux never finds what begins with "/x\-y/".
    parts = []
    for place in range(state.randint(1, 4)):
        parts.append("/" + state.choice(NAMES + (("a\\.b", "x\\-y") if place else ()) + ("[^/]*", ".*", "(a|b)", "a?", "[ab]+", "lib(64)?", ".")))
    return "".join(parts) + state.choice(["", "", "(/.*)?", "/.*", "|/b", ".*", "?"])


def _write_policy(folder, state):
    files = folder / "etc/selinux/made/contexts/files"
    files.mkdir(parents=True)
    (folder / "etc/selinux/config").write_text("SELINUX=enforcing\nSELINUXTYPE=made\n")
    number = 0
    for suffix in [""] + [suffix for suffix in (".homedirs", ".local") if state.random() < 0.5]:
        lines = []
        for _line in range(state.randint(1, 10)):
            number += 1
            label = "<<none>>" if state.random() < 0.2 else f"u:r:t{number}:s0"
            lines.append(f"{_pattern(state)} {state.choice(['', '', '--', '-d', '-l'])} {label}\n")
        (files / ("file_contexts" + suffix)).write_text("".join(lines) + "# comment\n\n")
    for suffix in [suffix for suffix in (".subs", ".subs_dist") if state.random() < 0.5]:
        (files / ("file_contexts" + suffix)).write_text("".join(
            f"/{'/'.join(state.sample(NAMES, state.randint(1, 2)))} {state.choice(['/', '/a', '/etc/lib', '/b/a'])}\n" for _line in range(3)
        ))
    return str(files / "file_contexts")


@pytest.mark.parametrize("seed", range(15))
def test_random_policies_against_libselinux(tmp_path, seed):
    state = random.Random(seed)
    oracle = Libselinux(_write_policy(tmp_path, state))
    policy = read_policy(Tree(str(tmp_path))).contexts
    for _round in range(100):
        path = "/" + "/".join(state.choice(NAMES + ("lib64", "c")) for _part in range(state.randint(1, 5)))
        kind = state.choice([FILE, FOLDER, LINK])
        assert (context(policy, path, kind) or None) == oracle.lookup(path, kind), path
    oracle.close()


def test_a_distributions_policy_against_libselinux():
    """The policy that Debian's package selinux-policy-default builds, over the files of this host."""
    path = "/etc/selinux/default/contexts/files/file_contexts"
    if not os.path.exists(path):
        pytest.skip("the package selinux-policy-default is not installed")
    oracle = Libselinux(path)
    policy = read_policy(Tree("/"))
    assert policy.problems == ()
    count = 0
    for start in ("/etc", "/usr/lib/systemd", "/var/lib", "/boot"):
        for folder, folders, files in os.walk(start):
            for name in (folders + files)[:5]:
                place = os.path.join(folder, name)
                kind = stat.S_IFMT(os.lstat(place).st_mode)
                answer = policy.contexts.lookup(place, kind)
                assert ((answer.rule.context if answer.rule else None) or None, answer.doubts) == (oracle.lookup(place, kind), ()), place
                count += 1
            if count > 1000:
                break
    oracle.close()
    assert count > 100
