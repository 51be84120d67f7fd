# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the programs that build the disk. They end when the builder ends, however that ends."""

import contextlib
import os
import signal
import subprocess
from typing import Dict, Optional, Sequence


class BuildError(Exception):
    """The demo disk cannot be built."""


def run(command: Sequence[str], text: Optional[str] = None, lock: Optional[int] = None) -> str:
    """Standard output of the command; BuildError with the end of what it printed when it fails.

    text: standard input. lock: a locked file descriptor that the command inherits, so that the lock is held for as long as
    anything that the builder started is still alive, also after kill -9 of the builder.
    """
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM"] + list(command),
        stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=() if lock is None else (lock,),
        universal_newlines=True,
        start_new_session=True,
        env=_environment(),
    )
    try:
        output, messages = process.communicate(text)
    except BaseException:
        _end(process)
        raise
    if process.returncode:
        last = "\n".join((output + messages).strip().splitlines()[-20:])
        raise BuildError("%s ended with status %d:\n%s" % (" ".join(command[:4]), process.returncode, last))
    return output


def _environment() -> Dict[str, str]:
    """A known environment, and the proxy through which this host reaches Debian's mirror."""
    proxies = {name: os.environ[name] for name in ("http_proxy", "https_proxy", "no_proxy") if name in os.environ}
    return dict(proxies, PATH="/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL="C.UTF-8", DEBIAN_FRONTEND="noninteractive")


def _end(process: "subprocess.Popen[str]") -> None:
    """Ends the command with all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(10)


def chroot(root: str, command: Sequence[str], text: Optional[str] = None, user: str = "") -> str:
    """Runs the command in the machine's own root: the disk is made by the tools that a real server has."""
    return run(["chroot"] + (["--userspec", user] if user else []) + [root] + list(command), text)
