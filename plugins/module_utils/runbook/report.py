# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTML report of evidence: one file without outside parts, which prints, follows light and dark, and needs no JavaScript.

Everything that comes from evidence passes through `_e`: machine names, console text and page excerpts are a stranger's words.
"""

import base64
import html
import json
import os

from .evidence import parse_time
from .report_style import STYLE
from .summary import checks_text, duration_text, fixup_seconds, left_text, name_text, rate_text, size_text, used_text

_PICTURE_LIMIT = 8 << 20
_CONSOLE_LINES = 60
_RESULTS = {"passed": ("good", "passed"), "failed": ("bad", "failed"), "incomplete": ("warn", "incomplete")}


def render_report(evidence, run_dirs, title="Recovery report"):
    """The report as text. `run_dirs`: {run id: directory that the screenshots' names begin at}."""
    runs = "".join(_run(run, run_dirs.get(run["id"], "")) for run in evidence["runs"])
    badge = _badge("passed" if evidence["passed"] else "failed")
    overview = _overview(evidence) if len(evidence["runs"]) > 1 else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        # the page may load nothing, whatever a hostile text should smuggle in
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        f"<title>{_e(title)}</title><style>{STYLE}</style></head><body><main>"
        f'<header><h1>{_e(title)}</h1><p class="meta">{badge} <span>as of {_time(evidence["created"])}</span></p></header>'
        f"{overview}{runs}"
        "<footer>Made by agnostic.recovery from the journal of each run. The same data for machines: evidence.json.</footer>"
        "</main></body></html>\n")


def _overview(evidence):
    rows = []
    for run in evidence["runs"]:
        names = ", ".join(machine["name"] for machine in run["machines"])
        rows.append([f'<a href="#{_e(run["id"])}">{_e(run["title"] or run["id"])}</a>', _badge(run["result"]), _e(names),
                     _e(duration_text(run["rto_seconds"])), _e(duration_text(_worst_rpo(run))), _e(_gone(run))])
    return _table("Runs", ("Run", "Result", "Machines", "RTO", "RPO", "Tear-down"), rows)


def _run(run, run_dir):
    begin = f"Started {_time(run['started'])}" + (f", ended {_time(run['ended'])}" if run["ended"] else ", did not end")
    disaster = f", disaster declared {_time(run['disaster'])}" if run["disaster"] else ""
    reason = run["reason"][:1].upper() + run["reason"][1:]
    parts = [
        f'<section class="run" id="{_e(run["id"])}"><h2>{_e(run["title"] or run["id"])} {_badge(run["result"])}</h2>',
        f'<p class="meta"><code>{_e(run["id"])}</code> <span>{begin}{disaster}</span></p><p class="reason">{_e(reason)}.</p>',
        _warnings(run["warnings"]),
        _timeline(run),
    ]
    parts += [_machine(machine, run, run_dir) for machine in run["machines"]]
    parts += [_teardown(run), _versions(run["versions"]), "</section>"]
    return "".join(parts)


def _machine(machine, run, run_dir):
    changes = (machine["fixup"] or {}).get("changes", [])
    as_wanted = "passed" if machine["passed"] != run["expected_failure"] else "failed"
    parts = [
        f'<h3>{_e(name_text(machine))} {_badge(as_wanted, "serves" if machine["passed"] else "does not serve")}</h3>',
        _tiles(machine, run, len(changes)),
        _warnings(machine["warnings"]),
        _image(machine["image"]),
        _checks(machine["checks"]),
        _changes(changes),
        _findings((machine["fixup"] or {}).get("findings", [])),
        _target(machine["target"]),
    ]
    parts += [_picture(picture, run_dir) for picture in machine["screenshots"]]
    if machine["console"]:
        lines = machine["console"].splitlines()[-_CONSOLE_LINES:]
        parts.append(f'<details><summary>Last {len(lines)} lines of the console</summary><pre>{_e(chr(10).join(lines))}</pre></details>')
    return "".join(parts)


def _tiles(machine, run, changes):
    fixup = machine["fixup"]
    tiles = [
        ("RTO", duration_text(machine["rto_seconds"]), "disaster to last check" if run["disaster"] else "start to last required check"),
        ("RPO", duration_text(machine["rpo_seconds"]), "age of the image at the start" if not run["disaster"] else "image to disaster"),
        ("Checks", checks_text(machine), ""),
        ("Fix-ups", f"{changes} changes" if fixup else "none", f"in {duration_text(fixup_seconds(fixup))}" if fixup else ""),
        ("Restored", size_text((machine["restore"] or {}).get("bytes")), rate_text(machine["restore"])),
        ("Newly stored", size_text((machine["stored"] or {}).get("stored_new")), used_text(machine["stored"])),
    ]
    cells = []
    for label, value, note in tiles:
        cells.append(f'<div class="tile"><div class="label">{_e(label)}</div><div class="value">{_e(value)}</div>'
                     f'<div class="note">{_e(note)}</div></div>')
    return f'<div class="tiles">{"".join(cells)}</div>'


def _image(image):
    if not image:
        return ""
    parent = f", parent <code>{_e(image['parent'])}</code>" if image.get("parent") else ""
    return (f'<p class="meta">Image <code>{_e(image["id"])}</code> <span>of {_time(image["created"])}, '
            f'consistency {_e(image.get("consistency", ""))}{parent}</span></p>')


def _timeline(run):
    events = run["timeline"]
    if not events:
        return ""
    first = parse_time(run["started"])
    last = max([parse_time(event["end"] or event["start"]) for event in events] + ([parse_time(run["ended"])] if run["ended"] else []))
    span = max(last - first, 0.001)
    several = len({event["machine"] for event in events if event["machine"]}) > 1
    rows = []
    for event in events:
        start = (parse_time(event["start"]) - first) / span * 100
        width = (last if event["end"] is None else parse_time(event["end"])) - parse_time(event["start"])
        label = f'{event["machine"]}: {event["name"]}' if several and event["machine"] else event["name"]
        took = "" if event["seconds"] == 0.0 else ("did not end" if event["end"] is None else duration_text(event["seconds"]))
        stroke = f'<div class="bar" style="left:{_percent(start)};width:{_percent(width / span * 100)}"></div>'
        rows.append(f'<div class="event {_e(event["status"])}"><div class="what" title="{_e(event["detail"])}">{_e(label)}</div>'
                    f'<div class="track">{stroke}</div><div class="took">{_e(took)}</div></div>')
    scale = "".join(f"<span>{_e(duration_text(span * part / 4))}</span>" for part in range(5))
    return (f'<h4>Timeline</h4><div class="timeline">{"".join(rows)}'
            f'<div class="event scale"><div class="what"></div><div class="ticks">{scale}</div><div class="took"></div></div></div>')


def _checks(checks):
    rows = [[_badge("passed" if check["passed"] else "failed"), _e(check["name"]), _e(check["kind"]), _e(check["detail"]),
             _e(duration_text(check["seconds"])), _e("required" if check.get("required", True) else "optional")] for check in checks]
    return _table("Checks", ("Result", "Check", "Kind", "What was found", "After", ""), rows) if rows else ""


def _changes(changes):
    rows = [[f"<code>{_e(change['path'])}</code>", _e(change.get("action", "")), _e(change.get("reason", "")), _e(change.get("fixup", ""))]
            for change in changes]
    return _table("Changes made by the fix-ups", ("File", "What", "Why", "Fix-up"), rows) if rows else ""


def _findings(findings):
    rows = [[_e(finding.get("severity", "")), _e(finding.get("text", "")), _e(finding.get("fixup", ""))] for finding in findings]
    return _table("Notes of the fix-ups", ("Severity", "What", "Fix-up"), rows) if rows else ""


def _target(target):
    rows = []
    for key, value in sorted((target or {}).items()):
        rows.append([_e(key), _e(value if isinstance(value, str) else json.dumps(value, sort_keys=True))])
    return f'<details><summary>Target</summary>{_table("", ("", ""), rows)}</details>' if rows else ""


def _picture(picture, run_dir):
    caption = _e(picture["caption"] or "Screen of the machine")
    data = _read_picture(os.path.join(run_dir, picture["file"])) if run_dir else None
    if data is None:
        return f'<p class="warning">The picture {_e(picture["file"])} ({caption}) is missing.</p>'
    source = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    return f'<figure><img alt="{caption}" src="{source}"><figcaption>{caption}</figcaption></figure>'


def _read_picture(path):
    try:
        with open(path, "rb") as stream:
            data = stream.read(_PICTURE_LIMIT + 1)
    except OSError:
        return None
    return data if len(data) <= _PICTURE_LIMIT and data.startswith(b"\x89PNG") else None


def _teardown(run):
    rows = []
    for resource in run["resources"]:
        proof = "".join(f"<li>{_e(sentence)}</li>" for sentence in resource["proof"])
        state = _badge("passed", "gone") if resource["gone"] else _badge("passed", "in use") if run["kind"] == "failover" else \
            _badge("failed", "may exist")
        rows.append([state, _e(resource["kind"]), f"<code>{_e(resource['id'])}</code>", _time(resource["created"]),
                     _time(resource["gone"]) if resource["gone"] else "", f"<ul>{proof}</ul>" if proof else ""])
    title = left_text(run) if run["kind"] == "failover" else f"Tear-down: {_gone(run)}"
    if not rows:
        return f"<h4>{_e(title)}</h4>"
    return _table(title, ("State", "Kind", "What", "Announced", "Gone", "Proof"), rows)


def _versions(versions):
    rows = [[_e(name), _e(text)] for name, text in sorted(versions.items())]
    return _table("Versions", ("", ""), rows) if rows else ""


def _warnings(warnings):
    return "".join(f'<p class="warning">{_e(warning)}</p>' for warning in warnings)


def _table(title, heads, rows):
    heading = f"<h4>{_e(title)}</h4>" if title else ""
    head = "<thead><tr>" + "".join(f"<th>{_e(text)}</th>" for text in heads) + "</tr></thead>" if any(heads) else ""
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'{heading}<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def _badge(result, text=""):
    kind, word = _RESULTS[result]
    return f'<span class="badge {kind}">{_e(text or word)}</span>'


def _gone(run):
    return f"{len(run['resources']) - run['resources_left']} of {len(run['resources'])} resources shown gone"


def _worst_rpo(run):
    known = [machine["rpo_seconds"] for machine in run["machines"] if machine["rpo_seconds"] is not None]
    return max(known) if known else None


def _time(text):
    """2026-11-22 01:02:03 UTC"""
    return f'<time datetime="{_e(text)}">{_e(text[:19].replace("T", " "))} UTC</time>'


def _percent(value):
    return f"{max(0.0, min(100.0, value)):.2f}%"


def _e(text):
    """Escapes for element content and quoted attributes, and shows control characters as what they are."""
    shown = "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in str(text))
    return html.escape(shown, quote=True)
