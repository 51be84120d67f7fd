# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine on a host: finds a Python, puts the engine there, asks it.

Nothing here needs more of the host than a POSIX shell and a Python 3.6 or newer, so hosts whose Python is too old for the
controller's ansible-core are served as well.
"""

import hashlib
import json
import shlex

from ansible.errors import AnsibleError

from .pack import engine_digest, engine_name
from .wheels import wheels_name

# Tried in this order; of those that work, the first with most of the optional libraries is taken.
PYTHONS = (
    "python3", "/usr/bin/python3", "/usr/libexec/platform-python",
    "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9", "python3.8", "python3.7", "python3.6",
)

# Exit status: 20 all libraries, 21 no zstandard, 22 no cryptography; anything else: not usable. Python 2 must be able to parse it.
PROBE = """\
import sys
if sys.version_info < (3, 6):
    sys.exit(9)
rank = 20
try:
    import zstandard
except Exception:
    rank = 21
try:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except Exception:
    rank = 22
sys.exit(rank)
"""

PREPARE = """\
import json, os, stat, sys
python, jobs, engine, wheels = sys.argv[1:]
if not jobs:
    jobs = "/var/lib/agnostic.recovery/jobs" if os.geteuid() == 0 else "~/.agnostic.recovery/jobs"
jobs = os.path.abspath(os.path.expanduser(jobs))
answer = {"python": python, "jobs": jobs}
try:
    os.makedirs(jobs, mode=0o700, exist_ok=True)
    found = os.lstat(jobs)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise OSError(1, "it is not a folder that belongs to the user that the task runs as")
    os.chmod(jobs, 0o700)
    answer["present"] = os.path.isfile(os.path.join(jobs, engine))
    answer["wheels"] = os.path.isdir(os.path.join(jobs, wheels))
except OSError as error:
    answer["problem"] = "The job folder %s cannot be used: %s. Name another one by job_dir." % (jobs, error.strerror)
print(json.dumps(answer))
"""

# Copied under another name and renamed: a job that starts at the same time sees the whole file or none.
INSTALL = """\
import hashlib, json, os, sys, tempfile
source, target, digest = sys.argv[1:]
with open(source, "rb") as handle:
    data = handle.read()
whole = hashlib.sha256(data).hexdigest() == digest
if whole:
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".engine-")
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    os.rename(temporary, target)
print(json.dumps({"whole": whole}))
"""


# Wheels are zip files, and what they hold goes to a folder as it is; shared objects cannot be loaded from a zip file.
UNPACK = """\
import hashlib, io, json, os, shutil, sys, tempfile, zipfile
source, target, digest = sys.argv[1:]
with open(source, "rb") as handle:
    data = handle.read()
whole = hashlib.sha256(data).hexdigest() == digest
if whole:
    temporary = tempfile.mkdtemp(dir=os.path.dirname(target), prefix=".wheels-")
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        for name in bundle.namelist():
            with zipfile.ZipFile(io.BytesIO(bundle.read(name))) as wheel:
                wheel.extractall(temporary)
    try:
        os.rename(temporary, target)
    except OSError:
        shutil.rmtree(temporary)
        whole = os.path.isdir(target)
print(json.dumps({"whole": whole}))
"""


class NoAnswer(AnsibleError):
    """The host's side could not be run, or what it printed is no answer."""


class EngineError(AnsibleError):
    """The engine ran and said why it cannot do what it was asked. `kind` is the type of the library's error."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def command_line(arguments):
    return " ".join(shlex.quote(argument) for argument in arguments)


class EngineHost:
    """`execute(command, data=None)` runs a shell command on the host with `data` as its standard input and returns
    {"rc", "stdout", "stderr"}; `transfer(data, name)` carries bytes there and returns their path on the host.
    """

    def __init__(self, execute, transfer):
        self._execute = execute
        self._transfer = transfer
        self.python = ""
        self.engine = ""
        self.jobs = ""
        self._options = []          # of the engine's command line

    def prepare(self, engine, job_dir="", python="", hint="", wheels=None):
        """Find a Python, make the job folder, and carry the engine (bytes) to the host unless it is there already.

        `python`: the only one to try; else `hint`, if it exists, is tried before the usual names. `wheels` (bytes, see wheels.py):
        libraries that the engine is to find before those of the host, which stays as it is. Raises NoAnswer, EngineError.
        """
        digest = engine_digest(engine)
        candidates = [python] if python else [name for name in (hint,) if name] + list(PYTHONS)
        command = (
            "best=; rank=99; for name in {candidates}; do found=$(command -v \"$name\") || continue; "
            "\"$found\" -c {probe} </dev/null >/dev/null 2>&1; status=$?; "
            "case $status in 20|21|22) if [ $status -lt $rank ]; then best=$found; rank=$status; fi;; esac; "
            "if [ $rank = 20 ]; then break; fi; done; "
            "if [ -n \"$best\" ]; then \"$best\" -c {prepare} \"$best\" {job_dir} {engine} {wheels}; else echo '{{\"python\": \"\"}}'; fi"
        ).format(candidates=command_line(candidates), probe=shlex.quote(PROBE), prepare=shlex.quote(PREPARE),
                 job_dir=shlex.quote(job_dir or ""), engine=engine_name(digest), wheels=wheels_name(wheels) if wheels else "none")
        answer = self._json(command)
        if not answer["python"]:
            raise EngineError("NoPython", "No Python 3.6 or newer was found on the host; tried: {0}. Install one, or name it by "
                              "the option python.".format(", ".join(candidates)))
        if "problem" in answer:
            raise EngineError("JobFolder", answer["problem"])
        self.python = answer["python"]
        self.jobs = answer["jobs"]
        self.engine = "{0}/{1}".format(self.jobs, engine_name(digest))
        if not answer["present"]:
            self._install(INSTALL, engine, engine_name(digest))
        if wheels:
            name = wheels_name(wheels)
            if not answer["wheels"]:
                self._install(UNPACK, wheels, name)
            self._options = ["--libs", "{0}/{1}".format(self.jobs, name)]

    def _install(self, script, data, name):
        """Carry bytes to the host and have this script put them under a name into the job folder."""
        carried = self._transfer(data, name)
        target = "{0}/{1}".format(self.jobs, name)
        if not self._json(command_line([self.python, "-c", script, carried, target, hashlib.sha256(data).hexdigest()]))["whole"]:
            raise NoAnswer("What was carried to the host was altered on its way, or could not be put at {0}.".format(target))

    def ask(self, arguments, data=None):
        """The engine's answer. Raises EngineError with the engine's own words, NoAnswer, or what the connection raises."""
        answer = self._json(command_line([self.python, self.engine] + self._options + arguments), data)
        if "error" in answer:
            raise EngineError(answer["error"]["type"], answer["error"]["message"])
        return answer

    def command(self, *arguments):
        """The command that an operator can give on the host."""
        return command_line([self.python, self.engine] + self._options + list(arguments))

    def _json(self, command, data=None):
        result = self._execute(command, data)
        # Login scripts, sudo and pseudo terminals may print lines of their own.
        for line in reversed(result["stdout"].splitlines()):
            if line.strip().startswith("{"):
                try:
                    return json.loads(line)
                except ValueError:
                    continue
        said = (result["stderr"].strip() or result["stdout"].strip()).splitlines()
        raise NoAnswer("The host gave no answer (status {0}): {1}".format(result["rc"], said[-1] if said else "nothing was printed"))
