#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: run_journal
short_description: Keeps the journal of a drill, failover or failback
version_added: 1.0.0
description:
  - A run writes down what it does, what it measures and what it makes, in C(journal.jsonl) of its own directory.
  - A resource is announced with O(state=resource) before it is created, and marked with O(state=gone) once it is shown gone. So tear-down
    finds all that a run made, also when the run was killed.
  - Each entry is on disk when the task has ended.
  - M(agnostic.recovery.run_report) turns journals into evidence.
author:
  - the agnostic.recovery developers (@agnostic-recovery)
extends_documentation_fragment:
  - agnostic.recovery.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  state:
    description:
      - V(begin) makes the run's directory and begins its journal, or with O(resume) finds the one to go on with.
      - V(event) notes that the step O(name) begins, ends, or happened.
      - V(record) notes what a step measured.
      - V(resource) announces something that will be created next.
      - V(gone) notes that it is gone again, with the proof.
      - V(end) ends the journal.
      - V(read) changes nothing and returns the resources, and with O(machine) how far the run has come with it.
      - V(taken_over) makes O(controller) the one that runs the run.
      - V(unfinished) changes nothing and returns the runs under O(root) that have not come to their end.
    type: str
    required: true
    choices: [begin, event, record, resource, gone, end, read, taken_over, unfinished]
  controller:
    description:
      - Who runs the run, in words that no other controller has. With O(state=begin) and O(state=taken_over) it takes the run over; after that entries
        of another one are refused, so that two controllers never work on one run.
      - When empty, nobody is refused.
    type: str
    default: ''
    version_added: 1.1.0
  run_dir:
    description: Directory of the run. Needed unless O(root) is given with O(state=begin) or O(state=unfinished).
    type: path
  root:
    description: With O(state=begin), the directory under which a directory named by the run's id is made; with O(state=unfinished), where runs are.
    type: path
  kind:
    description:
      - With O(state=begin) the kind of run, such as V(drill).
      - With O(state=resource) and O(state=gone) the kind of resource, such as V(qemu_guest).
    type: str
  run_id:
    description: With O(state=begin), the run's id. A new one is made by default.
    type: str
  id:
    description: With O(state=resource) and O(state=gone), what tells the resource from others of its kind, such as a path.
    type: str
  attributes:
    description:
      - With O(state=resource), what tear-down must know.
      - With O(state=begin) they are C(title), C(disaster) (time of the disaster, such as C(2026-11-22T01:02:03Z), from which RTO and RPO
        are counted then), C(expect_failure) (the run proves that a machine does not come up) and C(plan) (id of the plan).
    type: dict
    default: {}
  resume:
    description:
      - With O(state=begin), go on with the newest run under O(root) that has the same C(plan) in O(attributes) and has not ended well, or of
        which something is left, if there is one. So a run whose controller died goes on, also from another controller, and a plan is not carried
        out a second time beside what it has made.
    type: bool
    default: false
  machine:
    description: Machine that the entry is about. Empty for the run as a whole.
    type: str
    default: ''
  name:
    description: With O(state=event), the step.
    type: str
  phase:
    description: With O(state=event), whether the step begins, ends, or is a point in time.
    type: str
    choices: [begin, end, point]
    default: point
  status:
    description: With O(state=event) and O(state=end), how it went.
    type: str
    choices: [ok, failed]
    default: ok
  detail:
    description: With O(state=event) and O(state=end), more about it.
    type: str
    default: ''
  section:
    description: With O(state=record), what was measured.
    type: str
    choices: [image, restore, fixup, target, checks, screenshot, console, warning, versions, plan]
  data:
    description:
      - With O(state=record), the measurement, as the module that made it returned it.
      - A screenshot has C(file), its name in the run's directory, C(caption), and C(content), the picture in base64, when it is not there yet.
    type: raw
  proof:
    description: With O(state=gone), how it was shown, one sentence each.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Begin the run
  agnostic.recovery.run_journal:
    state: begin
    root: /var/lib/agnostic.recovery/runs
    kind: drill
    attributes:
      title: Drill of the first image
  register: run

- name: Announce the guest
  agnostic.recovery.run_journal:
    run_dir: "{{ run.run_dir }}"
    state: resource
    kind: qemu_guest
    id: "{{ run.run_dir }}/shop"
    machine: shop

- name: Note that the guest is gone
  agnostic.recovery.run_journal:
    run_dir: "{{ run.run_dir }}"
    state: gone
    kind: qemu_guest
    id: "{{ run.run_dir }}/shop"
    proof: "{{ removed.proofs }}"

- name: What is left to tear down
  agnostic.recovery.run_journal:
    run_dir: "{{ run.run_dir }}"
    state: read
  register: journal
"""

RETURN = r"""
run_dir:
  description: Directory of the run.
  returned: always
  type: str
resumed:
  description: Whether a run that had begun before goes on.
  returned: with O(state=begin)
  type: bool
run_id:
  description: Id of the run.
  returned: with O(state=begin) and O(state=read)
  type: str
  sample: drill-20261122T010203Z-4f2a
unfinished:
  description: Ids of runs that have not ended, or of which something is left that is not the outcome of a failover.
  returned: with O(state=unfinished)
  type: list
  elements: str
resources:
  description: All resources of the run, with C(kind), C(id), C(machine), C(attributes), C(created), C(gone) and C(proof).
  returned: with O(state=read)
  type: list
  elements: dict
steps:
  description: Steps that have ended well with the machine, each with its detail.
  returned: with O(state=read) and O(machine)
  type: dict
records:
  description: What was recorded last of the machine, by section.
  returned: with O(state=read) and O(machine)
  type: dict
teardown:
  description: Those that are not shown gone, in the order in which to remove them.
  returned: with O(state=read)
  type: list
  elements: dict
"""

import base64
import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.runbook.evidence import SECTIONS
from ..module_utils.runbook.journal import Journal, find_begun, new_run_id, open_resources, progress, read_journal, resources, unfinished


def begin(parameters, check_mode):
    plan_id = parameters["attributes"].get("plan")
    begun = find_begun(parameters["root"], plan_id) if parameters["resume"] and parameters["root"] and plan_id else ""
    if begun:
        if not check_mode:
            Journal(begun, parameters["controller"]).take_over()
        return dict(changed=False, resumed=True, run_id=os.path.basename(begun), run_dir=begun)
    run_id = parameters["run_id"] or new_run_id(parameters["kind"])
    run_dir = parameters["run_dir"] or os.path.join(parameters["root"], run_id)
    if not check_mode:
        Journal(run_dir, parameters["controller"]).begin(run_id, parameters["kind"], parameters["attributes"])
    return dict(changed=True, resumed=False, run_id=run_id, run_dir=run_dir)


def show(run_dir, machine):
    entries = read_journal(run_dir)
    run_id = next((entry["run"] for entry in entries if entry["type"] == "begin"), "")
    result = dict(changed=False, run_dir=run_dir, run_id=run_id, resources=[dict(found._asdict()) for found in resources(entries)],
                  teardown=[dict(found._asdict()) for found in open_resources(entries)])
    if machine:
        result["steps"], result["records"] = progress(entries, machine)
    return result


def keep_picture(run_dir, data):
    """A screenshot without its content, which goes to a file beside the journal; any other record as it is."""
    if not isinstance(data, dict) or "content" not in data or "file" not in data:
        return data
    with open(os.path.join(run_dir, os.path.basename(data["file"])), "wb") as stream:
        stream.write(base64.b64decode(data["content"]))
    return {key: value for key, value in data.items() if key != "content"}


def write(parameters, check_mode):
    journal = Journal(parameters["run_dir"], parameters["controller"])
    state = parameters["state"]
    if check_mode:
        pass
    elif state == "event":
        journal.event(parameters["name"], parameters["phase"], parameters["machine"], parameters["status"], parameters["detail"])
    elif state == "record":
        journal.record(parameters["section"], keep_picture(parameters["run_dir"], parameters["data"]), parameters["machine"])
    elif state == "resource":
        journal.resource(parameters["kind"], parameters["id"], parameters["machine"], parameters["attributes"])
    elif state == "gone":
        journal.gone(parameters["kind"], parameters["id"], parameters["proof"])
    elif state == "taken_over":
        journal.take_over()
    else:
        journal.end(parameters["status"], parameters["detail"])
    return dict(changed=True, run_dir=parameters["run_dir"])


def main():
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", required=True, choices=["begin", "event", "record", "resource", "gone", "end", "read", "taken_over", "unfinished"]),
            controller=dict(type="str", default=""),
            run_dir=dict(type="path"),
            root=dict(type="path"),
            kind=dict(type="str"),
            run_id=dict(type="str"),
            resume=dict(type="bool", default=False),
            id=dict(type="str"),
            attributes=dict(type="dict", default={}),
            machine=dict(type="str", default=""),
            name=dict(type="str"),
            phase=dict(type="str", choices=["begin", "end", "point"], default="point"),
            status=dict(type="str", choices=["ok", "failed"], default="ok"),
            detail=dict(type="str", default=""),
            section=dict(type="str", choices=list(SECTIONS)),
            data=dict(type="raw"),
            proof=dict(type="list", elements="str", default=[]),
        ),
        required_if=[
            ("state", "begin", ("kind",)),
            ("state", "unfinished", ("root",)),
            ("state", "event", ("name",)),
            ("state", "record", ("section", "data")),
            ("state", "resource", ("kind", "id")),
            ("state", "gone", ("kind", "id", "proof")),
        ],
        required_one_of=[("run_dir", "root")],
        mutually_exclusive=[("run_dir", "root")],
        supports_check_mode=True,
    )
    state = module.params["state"]
    if state not in ("begin", "unfinished") and not module.params["run_dir"]:
        module.fail_json(msg=f"state={state} needs run_dir.")
    try:
        if state == "begin":
            result = begin(module.params, module.check_mode)
        elif state == "unfinished":
            result = dict(changed=False, unfinished=unfinished(module.params["root"]))
        elif state == "read":
            result = show(module.params["run_dir"], module.params["machine"])
        else:
            result = write(module.params, module.check_mode)
    except (RecoveryError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
