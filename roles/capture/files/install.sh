#!/bin/sh
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# install.sh LIBRARY...: installs what the engine needs (python, cryptography, zstd, boto3, openstack) from the distribution's packages.
# A shell script, because there may be no Python yet, or one that is too old for Ansible's modules.
# Where a library has several names (RHEL 7 and its EPEL, SUSE's Python versions), the first that can be installed is taken.

if command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq -o DPkg::Lock::Timeout=300 update
    install() { apt-get -qq -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "$1"; }
elif command -v dnf >/dev/null 2>&1; then
    install() { dnf -q -y install "$1"; }
elif command -v yum >/dev/null 2>&1; then
    install() { yum -q -y install "$1"; }
elif command -v zypper >/dev/null 2>&1; then
    install() { zypper --quiet --non-interactive install --no-recommends "$1"; }
else
    echo "No package manager that is known here: apt-get, dnf, yum or zypper." >&2
    exit 3
fi

names() {
    case $1 in
        python) echo "python3" ;;
        cryptography) echo "python3-cryptography python36-cryptography" ;;
        zstd) echo "python3-zstandard libzstd1 libzstd" ;;
        boto3) echo "python3-boto3 python36-boto3" ;;
        openstack) echo "python3-openstacksdk" ;;
    esac
}

status=0
for library in "$@"; do
    found=
    for name in $(names "$library"); do
        if install "$name" </dev/null; then found=yes; break; fi
    done
    if [ -z "$found" ]; then
        echo "No package for $library could be installed." >&2
        status=1
    fi
done
exit $status
