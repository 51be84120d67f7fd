# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers as people read them, and the short text summary of evidence."""

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def size_text(size):
    """"1.5 GiB"; "not measured" for None."""
    if size is None:
        return "not measured"
    value = float(size)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError


def duration_text(seconds):
    """"0.4 s", "12 s", "3 min 20 s", "2 h 05 min", "4 d 03 h"; "not measured" for None."""
    if seconds is None:
        return "not measured"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def rate_text(restore):
    """Time and rate of a restore; "" where there was none."""
    if not restore:
        return ""
    size, seconds = restore.get("bytes"), restore.get("seconds")
    return f"in {duration_text(seconds)}" + (f" ({size_text(size / seconds)}/s)" if size and seconds else "")


def used_text(stored):
    """What an image holds, and how many used bytes one newly stored byte stands for."""
    if not stored:
        return ""
    text = f"{size_text(stored['used'])} used of {size_text(stored['size'])}"
    return f"{text}, {stored['ratio']:g} : 1" if stored["ratio"] else text


def fixup_seconds(fixup):
    """Time of all steps of the fix-ups; None where not measured."""
    seconds = (fixup or {}).get("seconds")
    return sum(seconds.values()) if isinstance(seconds, dict) else seconds


def checks_text(machine):
    passed = sum(1 for check in machine["checks"] if check["passed"])
    return f"{passed} of {len(machine['checks'])}" if machine["checks"] else "none"


def name_text(machine):
    return machine["name"] if machine["wave"] is None else f"{machine['name']} (wave {machine['wave']})"


def left_text(run):
    """What a failover has made and left, in words."""
    return f"{run['resources_left']} of {len(run['resources'])} resources are in use; the playbook teardown with {run['id']} removes them"


def summary_lines(evidence):
    """Aligned lines of plain text for a terminal."""
    lines = []
    for run in evidence["runs"]:
        lines.append(_printable(f"{run['id']}  {run['result'].upper()}  {run['reason']}"))
        for machine in run["machines"]:
            lines += _machine_lines(machine)
        if run["kind"] == "failover":
            lines.append(_row("made", left_text(run)))
        else:
            gone = len(run["resources"]) - run["resources_left"]
            lines.append(_row("tear-down", f"{gone} of {len(run['resources'])} resources shown gone"))
        lines += [_row("left", f"{resource['kind']} {resource['id']}") for resource in run["resources"] if not resource["gone"]]
        lines += [_row("warning", warning) for warning in run["warnings"]]
    return lines


def _machine_lines(machine):
    lines = [_row("machine", name_text(machine))]
    if machine["image"]:
        lines.append(_row("image", f"{machine['image']['id']} ({machine['image'].get('consistency', '')})"))
        lines.append(_row("stored", f"{size_text(machine['stored']['stored_new'])} new ({used_text(machine['stored'])})"))
    if machine["restore"]:
        lines.append(_row("restore", f"{size_text(machine['restore'].get('bytes'))} {rate_text(machine['restore'])}"))
    if machine["fixup"]:
        count = len(machine["fixup"].get("changes", []))
        lines.append(_row("fix-ups", f"{count} changes in {duration_text(fixup_seconds(machine['fixup']))}"))
    lines.append(_row("RTO", duration_text(machine["rto_seconds"])))
    lines.append(_row("RPO", duration_text(machine["rpo_seconds"])))
    lines.append(_row("checks", f"{checks_text(machine)} passed"))
    for check in machine["checks"]:
        lines.append(_row("", f"{'ok    ' if check['passed'] else 'FAILED'} {check['name']}: {check['detail']}"))
    return lines + [_row("warning", warning) for warning in machine["warnings"]]


def _row(label, text):
    return f"  {label:<10} {_printable(text)}"


def _printable(text):
    """Text from a guest must not move the cursor or forge lines."""
    return "".join(character if character.isprintable() else " " for character in str(text))
