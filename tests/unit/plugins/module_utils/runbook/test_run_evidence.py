# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evidence, its summary and its report from journals that are written here entry by entry."""

import html.parser
import json

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.evidence import EvidenceError, build_evidence, build_run, parse_time
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.journal import timestamp
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.report import render_report
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.summary import duration_text, size_text, summary_lines

START = 1795309323.0                                  # 2026-11-22T01:02:03Z
PNG = b"\x89PNG\r\n\x1a\n" + b"picture"
HOSTILE = "<script>alert(1)</script>\"'&\x1b[2J\u202e"


def entry(what, after, **values):
    return dict(values, type=what, time=timestamp(START + after))


def check(passed=True, after=90.0, **values):
    return dict({"name": "page", "kind": "http", "passed": passed, "detail": "status 200", "seconds": 50.0, "attempts": 3, "required": True,
                 "finished": START + after}, **values)


def drill(checks=(check(),), attributes=None, gone=True, status="ok", machine="shop"):
    image = {"id": "shop/x", "machine": machine, "created": "2026-11-22T00:02:03Z", "consistency": "offline", "parent": "", "size": 8 << 30,
             "used": 1 << 30, "stored_new": 256 << 20, "stored_new_objects": 300, "seconds": 9.0}
    fixup = {"changes": [{"fixup": "disk_names", "path": "/etc/fstab", "reason": "sda is gone", "action": "changed"}],
             "findings": [{"fixup": "network", "severity": "warning", "text": "look"}], "seconds": {"plan": 0.5, "apply": 0.25}}
    entries = [
        entry("begin", 0, run="drill-20261122T010203Z-4f2a", kind="drill", attributes=attributes or {}),
        entry("event", 1, name="restore", machine=machine, phase="begin", status="ok", detail=""),
        entry("record", 2, section="image", machine=machine, data=image),
        entry("event", 8.5, name="restore", machine=machine, phase="end", status="ok", detail="fast"),
        entry("record", 9, section="restore", machine=machine, data={"bytes": 1 << 30, "seconds": 7.5}),
        entry("record", 10, section="fixup", machine=machine, data=fixup),
        entry("resource", 10, kind="qemu_guest", id="/run/shop", machine=machine, attributes={}),
        entry("event", 11, name="boot", machine=machine, phase="point", status="ok", detail=""),
        entry("record", 91, section="checks", machine=machine, data=list(checks)),
        entry("record", 92, section="screenshot", machine=machine, data={"file": "shop.png", "caption": "screen"}),
        entry("record", 93, section="console", machine=machine, data="login:\n"),
        entry("record", 93, section="versions", machine="", data={"qemu": "7.2"}),
        entry("record", 93, section="warning", machine="", data="careful"),
    ]
    entries += [entry("gone", 95, kind="qemu_guest", id="/run/shop", proof=["no process"])] if gone else []
    return entries + ([entry("end", 96, status=status, detail="")] if status else [])


def test_what_a_drill_measured(tmp_path):
    (tmp_path / "shop.png").write_bytes(PNG)
    run = build_run(str(tmp_path), drill())
    (machine,) = run["machines"]
    assert (run["result"], run["rto_seconds"], run["resources_left"]) == ("passed", 90.0, 0)
    assert (machine["rto_seconds"], machine["rpo_seconds"]) == (90.0, 3600.0)
    assert machine["stored"] == {"size": 8 << 30, "used": 1 << 30, "stored_new": 256 << 20, "stored_new_objects": 300, "ratio": 4.0}
    assert [(event["name"], event["seconds"], event["status"], event["detail"]) for event in run["timeline"]] == [
        ("restore", 7.5, "ok", "fast"), ("boot", 0.0, "ok", "")]
    assert machine["screenshots"][0]["sha256"] and run["versions"] == {"qemu": "7.2"} and run["warnings"] == ["careful"]
    assert run["resources"][0]["proof"] == ["no process"]


def test_a_declared_disaster_counts_from_there():
    run = build_run("/x", drill(attributes={"disaster": "2026-11-22T00:32:03Z"}))
    assert (run["machines"][0]["rto_seconds"], run["machines"][0]["rpo_seconds"]) == (1890.0, 1800.0)
    early = build_run("/x", drill(attributes={"disaster": "2026-11-21T00:00:00Z"}))
    assert early["machines"][0]["rpo_seconds"] is None           # the image is younger than the disaster: nothing to measure


@pytest.mark.parametrize("changes, result, reason", [
    ({"checks": [check(), check(False)]}, "failed", "not proven to serve: shop"),
    ({"checks": [check(), check(False, required=False)]}, "passed", "all required checks passed"),
    ({"checks": [check(required=False)]}, "failed", "not proven to serve: shop"),
    ({"checks": []}, "failed", "not proven to serve: shop"),
    ({"gone": False}, "failed", "1 of 1 resources are not shown gone"),
    ({"status": "failed"}, "failed", "a step failed"),
    ({"status": ""}, "incomplete", "the run did not come to its end"),
    ({"checks": [check(False)], "attributes": {"expect_failure": True}}, "passed", "the machine did not come up, as expected"),
    ({"attributes": {"expect_failure": True}}, "failed", "shop came up, which it must not"),
    ({"checks": [], "attributes": {"expect_failure": True}}, "failed", "nothing was checked"),
])
def test_verdicts(changes, result, reason):
    run = build_run("/x", drill(**changes))
    assert (run["result"], run["reason"]) == (result, reason)
    assert (run["rto_seconds"] is None) == (not run["machines"][0]["passed"])


def test_a_step_without_an_end_is_open():
    entries = drill(status="")[:2]
    assert build_run("/x", entries)["timeline"] == [
        {"name": "restore", "machine": "shop", "start": timestamp(START + 1), "end": None, "seconds": None, "status": "open", "detail": ""}]
    assert "did not end" in render_report(build_evidence([("/x", entries)]), {})


def test_journals_that_tell_nothing():
    with pytest.raises(EvidenceError, match="no beginning"):
        build_run("/x", drill()[1:])
    with pytest.raises(EvidenceError, match="no run"):
        build_evidence([])
    with pytest.raises(EvidenceError, match="no time"):
        parse_time("yesterday")
    assert parse_time("2026-11-22T01:02:03Z") == START and parse_time("2026-11-22T01:02:03.250Z") == START + 0.25


def test_the_same_journals_give_the_same_evidence():
    runs = [("/x", drill()), ("/y", drill(machine="data"))]
    evidence = build_evidence(runs)
    assert json.dumps(evidence, sort_keys=True) == json.dumps(build_evidence(runs), sort_keys=True)
    assert (evidence["schema"], evidence["version"], evidence["created"], evidence["passed"]) == (
        "agnostic.recovery/evidence", 1, timestamp(START + 96), True)


class Reader(html.parser.HTMLParser):
    """Collects tags and attributes, and checks that elements are closed in order."""
    VOID = {"meta", "img", "br"}

    def __init__(self):
        super(Reader, self).__init__()
        self.open, self.tags, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_one_file_of_sound_html(tmp_path):
    (tmp_path / "shop.png").write_bytes(PNG)
    evidence = build_evidence([(str(tmp_path), drill()), (str(tmp_path), drill(status=""))])
    page = render_report(evidence, {evidence["runs"][0]["id"]: str(tmp_path)}, "Two drills")
    reader = Reader()
    reader.feed(page)
    assert not reader.open and "script" not in reader.tags and "link" not in reader.tags
    assert all(value.startswith("data:image/png;base64,") for name, value in reader.attributes if name == "src")
    assert all(value.startswith("#") for name, value in reader.attributes if name == "href")
    for text in ("Two drills", "1 min 30 s", "1 h 00 min", "/etc/fstab", "sda is gone", "no process", "256 MiB", "shop/x", "careful"):
        assert text in page


def test_hostile_words_stay_words(tmp_path):
    text = json.dumps(drill(checks=[check(False, name=HOSTILE, detail=HOSTILE)], machine=HOSTILE))
    hostile = json.loads(text.replace("/etc/fstab", "<img src=x>"))
    hostile[0]["attributes"] = {"title": HOSTILE}
    hostile.insert(3, entry("record", 3, section="target", machine=HOSTILE, data={HOSTILE: [HOSTILE]}))
    evidence = build_evidence([(str(tmp_path), hostile)])
    page = render_report(evidence, {evidence["runs"][0]["id"]: str(tmp_path)}, HOSTILE)
    reader = Reader()
    reader.feed(page)
    assert not reader.open and "script" not in reader.tags and "img" not in reader.tags
    assert "\x1b" not in page and "\u202e" not in page
    assert "is missing" in page                                   # the picture
    assert not any("\x1b" in line or "\n" in line or "\u202e" in line for line in summary_lines(evidence))


def test_a_picture_is_a_picture(tmp_path):
    (tmp_path / "shop.png").write_bytes(b"<svg onload=alert(1)>")
    evidence = build_evidence([(str(tmp_path), drill())])
    assert "data:image" not in render_report(evidence, {evidence["runs"][0]["id"]: str(tmp_path)})


def test_the_summary_is_short_and_aligned():
    lines = summary_lines(build_evidence([("/x", drill(checks=[check(), check(False, name="rows", detail="none")], gone=False))]))
    assert lines[0] == "drill-20261122T010203Z-4f2a  FAILED  1 of 1 resources are not shown gone"
    assert "  stored     256 MiB new (1.0 GiB used of 8.0 GiB, 4 : 1)" in lines
    assert "  restore    1.0 GiB in 7.5 s (137 MiB/s)" in lines
    assert "  fix-ups    1 changes in 0.8 s" in lines
    assert "             FAILED rows: none" in lines and "  left       qemu_guest /run/shop" in lines


@pytest.mark.parametrize("value, text", [
    (None, "not measured"), (0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (100 << 20, "100 MiB"), (5 << 40, "5.0 TiB")])
def test_sizes(value, text):
    assert size_text(value) == text


@pytest.mark.parametrize("value, text", [
    (None, "not measured"), (0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (59.6, "1 min 00 s"),
    (3599.7, "1 h 00 min"), (86400 * 3 + 7200, "3 d 02 h")])
def test_durations(value, text):
    assert duration_text(value) == text


def test_a_failover_leaves_what_it_made_and_tells_of_its_waves():
    entries = drill(attributes={"plan": "plan-1"}, gone=False)
    entries[0]["kind"] = "failover"
    planned = {"wanted": {"machine": "shop", "wave": 2}}
    entries.insert(1, entry("record", 0, section="plan", machine="", data={"id": "plan-1", "machines": [planned]}))
    evidence = build_evidence([("/nowhere", entries)])
    run = evidence["runs"][0]
    assert run["result"] == "passed" and run["resources_left"] == 1 and run["plan"] == "plan-1" and run["machines"][0]["wave"] == 2
    lines = "\n".join(summary_lines(evidence))
    assert "shop (wave 2)" in lines and "1 of 1 resources are in use" in lines and "left " in lines
    page = render_report(evidence, {})
    assert "in use" in page and "may exist" not in page


def test_a_machine_that_served_before_the_run_went_on_came_back_then():
    entries = drill(checks=[check(after=90.0)])
    again = entry("record", 94, section="checks", machine="shop", data=[check(after=500.0)])
    machine = build_evidence([("/nowhere", entries[:-1] + [again] + entries[-1:])])["runs"][0]["machines"][0]
    assert machine["rto_seconds"] == 90.0
    worse = entry("record", 94, section="checks", machine="shop", data=[check(False)])
    assert not build_evidence([("/nowhere", entries[:-1] + [worse] + entries[-1:])])["runs"][0]["machines"][0]["passed"]
