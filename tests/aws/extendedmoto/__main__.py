# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""python -m extendedmoto FOLDER [--port N] [--devices]: serves on loopback until it is ended. FOLDER takes the content of snapshots and volumes."""

import argparse
import os
import signal
import sys

os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

from . import images, snapshots, volumes  # noqa: E402
from .faults import Faults  # noqa: E402


def main():
    parser = argparse.ArgumentParser(prog="extendedmoto", description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=0, help="0, the default: a free one")
    parser.add_argument("--devices", action="store_true", help="attached volumes become loop devices of this host")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    new_snapshot = snapshots.apply(options.folder)
    images.apply()
    devices = volumes.apply(options.folder, new_snapshot) if options.devices else None
    server = make_server("127.0.0.1", options.port, Faults(DomainDispatcherApplication(create_backend_app)), threaded=True,
                         request_handler=MotoRequestHandler)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_unused: sys.exit(0))
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    finally:
        if devices:
            devices.detach_all()


main()
