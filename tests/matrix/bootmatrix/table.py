# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results as they are kept, one JSON line each, and the table made of them."""

import fcntl
import json
import os
import statistics

from typing import Any, Dict, Optional, Sequence, Tuple

PARTS = ("recovery", "control", "v2v")      # of a case; the latter two also name what they put into its result
STEPS = ("inspect", "plan", "apply", "verify")


def load(path: str) -> Dict[str, Dict[str, Any]]:
    """{case: its latest result}. A line that a killed run has left half-written does not count."""
    results = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                try:
                    result = json.loads(line)
                    results[result["case"]] = result
                except (ValueError, KeyError, TypeError):
                    continue
    return results


def append(path: str, result: Dict[str, Any]) -> None:
    """On a line of its own, also behind half a line, and beside others who write."""
    with open(path, "ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        whole = True
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            whole = file.read() == b"\n"
        file.write(b"" if whole else b"\n")
        file.write(json.dumps(result, sort_keys=True).encode("utf-8") + b"\n")
        file.flush()
        os.fsync(file.fileno())


def lacking(name: str, results: Dict[str, Dict[str, Any]], code: str, asked: Sequence[str]) -> Tuple[str, ...]:
    """The parts of those asked for that a case has still to run: all without a result, or if it failed with other code than the present.

    The boots beside the recovery do not depend on the collection's code: what is there stays.
    """
    result = results.get(name)
    if result is None or not result["recovered"] and result.get("code") != code:
        return tuple(asked)
    return tuple(part for part in asked if part != "recovery" and part not in result) if result["recovered"] else ()


def rate(results: Sequence[Dict[str, Any]]) -> float:
    return sum(1 for result in results if result["recovered"]) / len(results) if results else 0.0


def fixup_seconds(result: Dict[str, Any]) -> Optional[float]:
    """Inspect, plan, apply and verify together; None where they did not run to their end."""
    seconds = result.get("seconds", {})
    return sum(seconds[step] for step in STEPS) if all(step in seconds for step in STEPS) else None


def summary(results: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    """The figures over all results; medians are None where there is nothing to take them of."""
    controls = [result["control"] for result in results if result.get("control")]
    others = [result["v2v"] for result in results if result.get("v2v")]
    return {
        "cases": len(results),
        "recovered": sum(1 for result in results if result["recovered"]),
        "rate": rate(results),
        "control_cases": len(controls),
        "control_recovered": sum(1 for control in controls if control["recovered"]),
        "v2v_cases": len(others),
        "v2v_recovered": sum(1 for other in others if other["recovered"]),
        "fixup_seconds_median": _median(map(fixup_seconds, results)),
        "fixup_seconds_most": max([each for each in map(fixup_seconds, results) if each is not None], default=None),
        "boot_seconds_median": _median(result.get("seconds", {}).get("boot") for result in results if result["recovered"]),
        "changes_median": _median(result.get("changes") for result in results),
        "codes": len({result.get("code") for result in results}),
    }


def _median(values):
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def markdown(results: Sequence[Dict[str, Any]]) -> str:
    """The figures, a row for each case, and the reasons of those that failed."""
    figures = summary(results)
    lines = [
        f"- recovered: {_share(figures['recovered'], figures['cases'])}",
        f"- the same disks without fix-ups: {_share(figures['control_recovered'], figures['control_cases'])}",
    ]
    if figures["v2v_cases"]:
        lines.append(f"- the same disks with virt-v2v: {_share(figures['v2v_recovered'], figures['v2v_cases'])}")
    lines += [
        f"- fix-ups (inspect, plan, apply, verify): median {_number(figures['fixup_seconds_median'], 2)} s, "
        f"at most {_number(figures['fixup_seconds_most'], 2)} s",
        f"- from power-on to the answer over the network: median {_number(figures['boot_seconds_median'], 0)} s, emulated",
        f"- changes: median {_number(figures['changes_median'], 0)}",
    ]
    if figures["codes"] > 1:
        lines.append(f"- {figures['codes']} states of the code have made these results; FRESH=1 makes them all again")
    lines += [
        "",
        "| case | recovered | without fix-ups | fix-ups, s | changes | boot, s |" + (" virt-v2v |" if figures["v2v_cases"] else ""),
        "| --- | --- | --- | --- | --- | --- |" + (" --- |" if figures["v2v_cases"] else ""),
    ]
    for result in results:
        control, other = result.get("control"), result.get("v2v")
        cells = [
            result["case"], "yes" if result["recovered"] else "**no**", _verdict(control), _number(fixup_seconds(result), 2),
            _number(result.get("changes"), 0), _number(result.get("seconds", {}).get("boot") if result["recovered"] else None, 0)]
        if figures["v2v_cases"]:
            cells.append(_verdict(other) + (f", {_number(other.get('seconds'), 0)} s" if other else ""))
        lines.append("| " + " | ".join(cells) + " |")
    failed = [result for result in results if not result["recovered"]]
    if failed:
        lines += ["", "Not recovered:", ""]
        lines += [f"- {result['case']}: {result['stage']}: {_one_line(result['reason'])}" for result in failed]
    return "\n".join(lines) + "\n"


def _verdict(other):
    return "not run" if not other else "yes" if other["recovered"] else "no"


def _share(part, whole):
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else "not run"


def _number(value, digits):
    return "" if value is None else f"{value:.{digits}f}"


def _one_line(text):
    return " ".join(str(text).split()).replace("|", "\\|")
