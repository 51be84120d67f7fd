# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line of the engine on a host. Every answer is one line of JSON on standard output.

    engine.pyz start [--no-attach]    the job's specification is read from standard input, as JSON
    engine.pyz status JOB
    engine.pyz collect JOB            as status, and an ended job is noted as told
    engine.pyz cancel JOB
    engine.pyz list
    engine.pyz about                  Python, platform and libraries: see about.py

`--jobs FOLDER` names the folder of the jobs; without it, it is the one that holds the engine. `--libs FOLDER` holds Python libraries that
are found before those of the host. Exit status: 0, or 1 with {"error": {"type", "message"}}.
"""

import argparse
import json
import os
import sys

from ..errors import RecoveryError
from . import identity, runner
from .state import JobFolder


def main(arguments=None, engine=""):
    """Run one command; returns the exit status. `engine` is the path of the zipapp."""
    options = _parser(os.path.dirname(os.path.abspath(engine)) if engine else "").parse_args(arguments)
    if options.libs:
        sys.path.insert(0, options.libs)
        os.utime(options.libs)      # in use: not to be tidied away
    folder = JobFolder(options.jobs)
    try:
        answer = _answer(options, folder, engine)
    except RecoveryError as error:
        _print({"error": {"type": type(error).__name__, "message": str(error)}})
        return 1
    _print(answer)
    return 0


def _answer(options, folder, engine):
    if options.command == "start":
        spec = identity.with_host_paths(json.load(sys.stdin))
        return runner.start(folder, spec, engine=os.path.abspath(engine) if engine else "", attach=not options.no_attach)
    if options.command == "list":
        return {"jobs": folder.jobs()}
    if options.command == "about":
        from .about import about    # here only: it tries to import a lot
        return about()
    command = {"status": runner.status, "collect": runner.collect, "cancel": runner.cancel}[options.command]
    return {"state": command(folder, options.job)}


def _parser(jobs):
    parser = argparse.ArgumentParser(prog="engine.pyz", description="Engine jobs of agnostic.recovery")
    parser.add_argument("--jobs", default=jobs, required=not jobs, help="folder of the jobs")
    parser.add_argument("--libs", default="", help="folder of Python libraries")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True
    starting = commands.add_parser("start", help="start or join the job whose specification comes on standard input")
    starting.add_argument("--no-attach", action="store_true", help="do not join a job that runs already")
    for name, text in (("status", "how a job goes"), ("collect", "as status, and note that its end was told"),
                       ("cancel", "stop a job")):
        commands.add_parser(name, help=text).add_argument("job")
    commands.add_parser("list", help="all jobs")
    commands.add_parser("about", help="Python, platform and libraries of this host")
    return parser


def _print(answer):
    sys.stdout.write(json.dumps(answer, sort_keys=True) + "\n")
    sys.stdout.flush()
