# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of the boot matrix: kept line by line, resumed, counted, shown."""

import pytest
from bootmatrix import table


def result(case, recovered=True, **more):
    seconds = {"inspect": 0.5, "plan": 0.25, "apply": 0.125, "verify": 0.5, "boot": 30.0}
    return dict({"case": case, "recovered": recovered, "stage": "boot", "reason": "" if recovered else "no answer", "seconds": seconds,
                 "changes": 7, "code": "one"}, **more)


def test_results_survive_a_killed_writer(tmp_path):
    path = str(tmp_path / "results.jsonl")
    assert table.load(path) == {}
    table.append(path, result("a"))
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"case": "b", "recov')                  # killed here
    table.append(path, result("c", recovered=False))
    table.append(path, result("a", changes=9))
    known = table.load(path)
    assert sorted(known) == ["a", "c"] and known["a"]["changes"] == 9


@pytest.mark.parametrize("line", ["", "[]", "null", "{}", "7", '{"case": 1'])
def test_lines_that_are_no_result_are_passed_over(tmp_path, line):
    path = tmp_path / "results.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    table.append(str(path), result("a"))
    assert list(table.load(str(path))) == ["a"]


def test_failed_cases_run_again_once_the_code_is_another():
    results = {each["case"]: each for each in (result("done"), result("failed", recovered=False))}
    assert [name for name in ("done", "failed", "new") if table.lacking(name, results, "one", table.PARTS[:1])] == ["new"]
    assert [name for name in ("done", "failed", "new") if table.lacking(name, results, "two", table.PARTS[:1])] == ["failed", "new"]


def test_parts_that_were_not_asked_for_before_run_alone():
    results = {each["case"]: each for each in (
        result("plain"), result("control", control={"recovered": False}), result("failed", recovered=False))}
    assert table.lacking("plain", results, "two", table.PARTS) == ("control", "v2v")
    assert table.lacking("control", results, "one", table.PARTS[:2]) == ()
    assert table.lacking("failed", results, "one", table.PARTS) == ()
    assert table.lacking("new", results, "one", table.PARTS) == table.PARTS


def test_figures():
    failed = {"case": "c", "recovered": False, "stage": "build", "reason": "no\nroom | here", "seconds": {}}
    results = [result("a", control={"recovered": False, "reason": "idle"}),
               result("b", control={"recovered": True, "reason": ""}, v2v={"recovered": True, "reason": "", "seconds": 299.6}), failed]
    figures = table.summary(results)
    assert (figures["cases"], figures["recovered"], figures["control_recovered"], figures["v2v_cases"]) == (3, 2, 1, 1)
    assert figures["rate"] == pytest.approx(2 / 3)
    assert figures["fixup_seconds_median"] == pytest.approx(1.375)
    text = table.markdown(results)
    assert "- recovered: 2 of 3 (66.7 %)" in text
    assert "- the same disks without fix-ups: 1 of 2 (50.0 %)" in text
    assert "| a | yes | no | 1.38 | 7 | 30 | not run |" in text
    assert "| c | **no** | not run |  |  |  | not run |" in text
    assert "- c: build: no room \\| here" in text
    assert "2 states of the code" in text and "states of the code" not in table.markdown(results[:2])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({row.replace("\\|", "").count("|") for row in rows}) == 1


def test_a_set_without_results_is_no_success():
    assert table.rate([]) == 0.0
    assert table.summary([])["fixup_seconds_median"] is None
    assert "not run" in table.markdown([])
