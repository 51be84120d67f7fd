# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Python libraries for a host that has none: the wheels of a folder of the controller, as one file to carry."""

import glob
import hashlib
import io
import os
import zipfile

from ansible.errors import AnsibleActionFail


def bundle_wheels(folder):
    """All wheels of a folder as the bytes of one zip file; the same wheels always give the same bytes. Raises AnsibleActionFail."""
    paths = sorted(glob.glob(os.path.join(glob.escape(folder), "*.whl")))
    if not paths:
        raise AnsibleActionFail("There are no wheels in the folder {0} of the controller.".format(folder))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as bundle:
        for path in paths:
            with open(path, "rb") as handle:
                bundle.writestr(zipfile.ZipInfo(os.path.basename(path)), handle.read())
    return buffer.getvalue()


def wheels_name(bundle):
    """The name of the folder on the host that holds what was in the wheels."""
    return "wheels-{0}".format(hashlib.sha256(bundle).hexdigest()[:16])
