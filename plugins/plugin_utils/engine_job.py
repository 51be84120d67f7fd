# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugins' common part: checks the options, starts or joins the job, shows how it goes, returns how it ended."""

import json
import os
import time

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.utils.display import Display

from ..module_utils.job.options import PRIORITY_SPEC, REPOSITORY_SPEC
from ..module_utils.job.secrets import Scrubber
from .engine_action import HOST_SPEC, EngineAction, for_controller
from .engine_host import EngineError, NoAnswer
from .progress_line import Reporter, duration, shared_seconds

JOB_SPEC = dict(HOST_SPEC, **{
    "attach": {"type": "bool", "default": True},
    "poll": {"type": "float", "default": 2.0},
    "progress": {"type": "float", "default": 5.0},
    "reconnect": {"type": "float", "default": 300.0},
})
MANNERS = tuple(JOB_SPEC)      # options that are no part of the job's specification
FIRST_POLL = 0.3
POLL_GROWTH = 1.3


class EngineJobAction(EngineAction):
    """A task that is an engine job. Subclasses name the `kind` of the job, the options for its `keys` (at most one is given) and its other
    `arguments`, and say how a good end is told in one line (`summary`). `place` are the options that name where it works.
    """

    kind = ""
    place = REPOSITORY_SPEC
    keys = {}
    arguments = {}
    required_if = ()
    _supports_check_mode = True
    _supports_async = False
    _supports_diff = False

    def summary(self, result):
        raise NotImplementedError

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        spec, manners = self._options()
        scrub = Scrubber(spec)
        self._name = self._host_name(task_vars)
        self._quiet = not manners["progress"]
        manners["progress"] = shared_seconds(manners["progress"], self._hosts_at_once(task_vars))
        try:
            host = self.engine_host(manners, task_vars)
            answer = self._start(host, spec, manners["attach"])
            state = self._follow(host, answer, manners)
        except EngineError as error:
            result.update(failed=True, msg=scrub(error.message), error_type=error.kind)
            return result
        except NoAnswer as error:
            result.update(failed=True, msg=scrub(error.message))
            return result
        result.update(self._outcome(host, answer, state))
        return result

    # -- options

    def _options(self):
        """(the job's specification, {option: value} of the manners of doing it)."""
        spec = {}
        for part in (self.place, self.keys, self.arguments, PRIORITY_SPEC, JOB_SPEC):
            spec.update(for_controller(part))
        options = self.validate_argument_spec(spec, mutually_exclusive=[sorted(self.keys)], required_if=self.required_if)[1]
        manners = {name: options.pop(name) for name in MANNERS}
        if manners["poll"] <= 0 or manners["progress"] < 0 or manners["reconnect"] < 0:
            raise AnsibleActionFail("poll must be more than 0; progress and reconnect must not be less than 0.")
        if self._task.no_log:
            manners["progress"] = 0
        options.update(kind=self.kind, check=bool(self._task.check_mode))
        return options, manners

    def _host_name(self, task_vars):
        name = task_vars.get("inventory_hostname") or "localhost"
        return "{0} -> {1}".format(name, self._task.delegate_to) if self._task.delegate_to else name

    def _hosts_at_once(self, task_vars):
        """How many hosts may be at this task at the same time."""
        limits = [len(task_vars.get("ansible_play_batch") or ["this"]), task_vars.get("ansible_forks"), self._task.throttle]
        return min(int(limit) for limit in limits if limit)

    # -- the job

    def _start(self, host, spec, attach):
        data = json.dumps(spec, default=str).encode("utf-8")
        answer = host.ask(["start"] + ([] if attach else ["--no-attach"]), data)
        state = answer["state"]
        if answer["answer"] == "started":
            self._say("started job {0}".format(state["id"]))
        elif answer["answer"] == "joined":
            self._say("joins job {0}, which has been running for {1}".format(state["id"], duration(state["updated"] - state["started"])))
        elif answer["answer"] == "handed_out":
            self._say("job {0} ended while nobody looked; here is its result".format(state["id"]))
        return answer

    def _follow(self, host, answer, manners):
        """Poll until the job has ended; returns its last state."""
        reporter = Reporter(self._say, manners["progress"])
        state = answer["state"]
        pause = min(FIRST_POLL, manners["poll"])
        lost_since = None
        controller = os.getppid()
        while state["status"] == "running":
            if lost_since is None:
                reporter.show(state, time.monotonic())
            time.sleep(pause)
            pause = min(pause * POLL_GROWTH, manners["poll"])
            if os.getppid() != controller:
                # We are a worker process that outlived its ansible-playbook: the result is for the next one.
                raise AnsibleActionFail("The controller is gone; the job {0} goes on.".format(state["id"]))
            try:
                found = host.ask(["status", state["id"]])["state"]
            except EngineError:
                raise
            except AnsibleError as error:       # the connection, become, or what answered in the engine's place
                now = time.monotonic()
                if lost_since is None:
                    lost_since = now
                    self._say("no answer from the host; the job goes on, asking again for {0} ({1})".format(
                        duration(manners["reconnect"]), error.message))
                if now - lost_since >= manners["reconnect"]:
                    self._give_up(host, state, error, manners["reconnect"])
                self._reset_connection()
                continue
            if lost_since is not None:
                self._say("the host answers again")
                lost_since = None
            if found["started"] != answer["state"]["started"]:
                raise EngineError("Replaced", "Another call started the job {0} anew; how this run of it ended is not known.".format(
                    state["id"]))
            state = found
        if answer["answer"] != "handed_out":
            reporter.end(state)
        return self._collect(host, state)

    def _collect(self, host, state):
        """Note on the host that the end was told. Not knowing is no harm: the next call would be told once more."""
        try:
            return host.ask(["collect", state["id"]])["state"]
        except AnsibleError:
            return state

    def _reset_connection(self):
        try:
            self._connection.reset()
        except Exception:       # pylint: disable=broad-except  # not every connection plugin can; the next command tells
            pass

    def _give_up(self, host, state, error, seconds):
        message = (
            "The host gave no answer for {0} ({1}). The job {2} goes on there. Run the task again to join it; on the host, `{3}` tells "
            "how it goes, and `{4}` stops it.").format(
                duration(seconds), error.message, state["id"], host.command("status", state["id"]), host.command("cancel", state["id"]))
        if isinstance(error, AnsibleConnectionFailure):
            raise AnsibleConnectionFailure(message)
        raise EngineError("NoAnswer", message)

    def _outcome(self, host, answer, state):
        seconds = round((state["ended"] or state["updated"]) - state["started"], 1)
        outcome = {"job": {"id": state["id"], "answer": answer["answer"], "status": state["status"], "seconds": seconds}}
        earlier = answer["earlier"]
        if earlier:
            outcome["warnings"] = ["An earlier run of this job ended as '{0}', and nobody was told: {1}".format(
                earlier["status"], earlier["error"]["message"])]
        if state["status"] != "finished":
            message = state["error"]["message"]
            if state["status"] == "died":
                message += " Run the task again to start anew."
            self._say("{0} after {1}".format(state["status"], duration(seconds)))
            outcome.update(failed=True, msg=message, error_type=state["error"]["type"])
            return outcome
        found = dict(state["result"])
        outcome["warnings"] = outcome.get("warnings", []) + found.pop("warnings", [])
        outcome.update(found)
        self._say("{0}, in {1}".format(self.summary(found), duration(seconds)))
        return outcome

    def _say(self, text):
        if not self._quiet:
            Display().display("{0}: [{1}] {2}".format(self._task.action.split(".")[-1], self._name, text))
