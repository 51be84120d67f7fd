# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Freezing mounted file systems, so that they can never stay frozen.

FIFREEZE (linux/fs.h) writes all that is dirty back and lets every later write wait. Whoever freezes the root file system and is then killed
leaves a machine that only a reset helps. So a second process, forked beforehand, holds the mount points open and thaws them at the
deadline, or when this process is gone. It has all that it needs in locked memory, and opens, imports and writes nothing.
"""

import contextlib
import ctypes
import errno
import fcntl
import gc
import os
import select
import signal
import threading
import time
from typing import Callable, Dict, List, NamedTuple, Sequence

from ..errors import SourceError
from ..recovery.syscalls import flush

FIFREEZE = 0xC0045877
FITHAW = 0xC0045878
MCL_CURRENT, MCL_FUTURE = 1, 2

_ARM, _DISARM, _EXPIRED = b"A", b"D", b"X"
_AGAIN_SECONDS = 0.1                 # a thaw fails while a freeze is still on its way, so it is tried again
_CANNOT = (errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS)

_libc = ctypes.CDLL(None, use_errno=True)


class Frozen(NamedTuple):
    """How long a file system stood still, in seconds from the call that froze it to the one that thawed it."""
    path: str
    seconds: float


class Freezer:
    """Freezes the file systems mounted at `paths`, in this order, for at most `limit` seconds at a time.

    A context; its watchdog lives as long. `unable` names the mount points whose file systems cannot be frozen, known after the first
    freeze: they are only synced. Nothing may write to these file systems between `freeze` and `thaw`, not even a log.
    """

    def __init__(self, paths: Sequence[str], limit: float):
        self.unable = []             # type: List[str]
        self._limit = limit
        self._paths = list(paths)
        self._open = {}              # type: Dict[str, int]
        self._lock = threading.Lock()
        self._since = {}             # type: Dict[str, float]   # frozen now: mount point -> monotonic seconds
        self._failure = ""
        self._watchdog = 0
        self._to_watchdog = self._from_watchdog = -1

    def __enter__(self) -> "Freezer":
        with contextlib.ExitStack() as stack:
            for path in self._paths:
                self._open[path] = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                stack.callback(os.close, self._open[path])
            self._start_watchdog()
            stack.pop_all()
        return self

    def __exit__(self, *exc_info) -> None:
        self._thaw()
        os.close(self._to_watchdog)                      # the watchdog sees the end of the pipe, and goes
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._watchdog, 0)
        os.close(self._from_watchdog)
        for fd in self._open.values():
            os.close(fd)

    # -- in the capturing process -----------------------------------------------------------------------------------------

    def failure(self) -> str:
        """Why the file systems do not stand still any more although nobody called `thaw`, or ""."""
        return self._failure

    def sync(self) -> None:
        """Write back what is dirty now, so that the freeze has little left to do."""
        for path in self._paths:
            flush(path)

    @contextlib.contextmanager
    def frozen(self):
        """The file systems are frozen while the context lasts; its value is a list that holds a `Frozen` for each when it has ended.

        Raises SourceError when one cannot be frozen, or when they were thawed before the end: then nothing that was read counts.
        """
        done = []                    # type: List[Frozen]
        self._drain()
        self._failure = ""
        self._tell(_ARM)
        monitor = threading.Thread(target=self._monitor, name="freeze-monitor", daemon=True)
        try:
            self._freeze()
            monitor.start()
            yield done
            done.extend(self._thaw())
        finally:
            self._thaw()
            self._tell(_DISARM)
            if monitor.ident:
                monitor.join()
        if self._failure:
            raise SourceError(self._failure)

    def _freeze(self) -> None:
        for path in [path for path in self._paths if path not in self.unable]:
            with self._lock:
                self._since[path] = time.monotonic()
            try:
                fcntl.ioctl(self._open[path], FIFREEZE, 0)
            except OSError as error:
                with self._lock:
                    del self._since[path]
                if error.errno not in _CANNOT:
                    why = "It is frozen already, by somebody else" if error.errno == errno.EBUSY else error.strerror
                    raise SourceError(f"The file system at {path} cannot be frozen: {why}.") from error
                self.unable.append(path)
        for path in self.unable:
            flush(path)

    def _thaw(self) -> List[Frozen]:
        """Thaw what is frozen, in the reverse order. What was thawed before by somebody else is a failure."""
        done = []
        with self._lock:
            for path in reversed([path for path in self._paths if path in self._since]):
                since = self._since.pop(path)
                try:
                    fcntl.ioctl(self._open[path], FITHAW, 0)
                except OSError as error:
                    self._failure = self._failure or (
                        f"The file system at {path} was not frozen any more when its last block had been read ({error.strerror}).")
                done.append(Frozen(path, round(time.monotonic() - since, 3)))
        return done

    def _monitor(self) -> None:
        """Notice that the watchdog thawed or died; without it nothing may stay frozen."""
        while self._since:
            if not select.select([self._from_watchdog], [], [], _AGAIN_SECONDS)[0]:
                continue
            if os.read(self._from_watchdog, 1) == _EXPIRED:
                self._failure = self._failure or f"The file systems were frozen for longer than freeze_limit, {self._limit:g} s."
            else:
                self._failure = self._failure or "The process that watches over the frozen file systems was killed."
            self._thaw()
            return

    def _tell(self, message: bytes) -> None:
        try:
            os.write(self._to_watchdog, message)
        except BrokenPipeError:
            if message == _ARM:
                raise SourceError("The process that watches over the frozen file systems was killed. Run this again.") from None

    def _drain(self) -> None:
        """Forget a message of the window before."""
        while select.select([self._from_watchdog], [], [], 0)[0]:
            if not os.read(self._from_watchdog, 1):
                return               # it is gone: `_tell` says so

    # -- the watchdog -----------------------------------------------------------------------------------------------------

    def _start_watchdog(self) -> None:
        orders, self._to_watchdog = os.pipe()
        self._from_watchdog, reports = os.pipe()
        self._watchdog = os.fork()
        if self._watchdog == 0:
            # Nothing of the caller's code may run here, whatever happens.
            try:
                _become_watchdog(keep=[orders, reports] + list(self._open.values()))
                _watch(orders, reports, list(self._open.values()), self._limit,
                       time.monotonic, select.select, fcntl.ioctl, os.read, os.write)
            finally:
                os._exit(0)
        os.close(orders)
        os.close(reports)


def _become_watchdog(keep: Sequence[int]) -> None:
    """A session of its own, so that no signal to our group reaches it; no file but what it needs; its memory in RAM."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    before = -1
    for fd in sorted(keep) + [os.sysconf("SC_OPEN_MAX")]:
        os.closerange(before + 1, min(fd, 65536))
        before = fd
    gc.disable()
    _libc.mlockall(MCL_CURRENT | MCL_FUTURE)             # without the right to it we are as well off as any process


def _watch(orders: int, reports: int, mount_points: Sequence[int], limit: float, clock: Callable, wait: Callable, ioctl: Callable,
           read: Callable, write: Callable) -> None:
    """Thaw everything at the deadline, again and again until told to stop, and at the end of the pipe, which is the end of our parent."""
    deadline = None
    reported = False
    while True:
        timeout = None if deadline is None else max(_AGAIN_SECONDS, deadline - clock())
        if wait([orders], [], [], timeout)[0]:
            order = read(orders, 1)
            if not order:
                if deadline is not None:
                    _thaw_all(mount_points, ioctl)
                return
            deadline = clock() + limit if order == _ARM else None
            reported = False
        elif clock() >= deadline:
            _thaw_all(mount_points, ioctl)
            if not reported:
                write(reports, _EXPIRED)
                reported = True


def _thaw_all(mount_points: Sequence[int], ioctl: Callable) -> None:
    for fd in reversed(mount_points):
        try:
            ioctl(fd, FITHAW, 0)
        except OSError:
            pass                                         # not frozen, or not yet
