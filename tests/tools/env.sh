# shellcheck shell=bash
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Sourced by every script under tests/tools: where things are cached and which Pythons the machine has.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/agnostic.recovery
COLLECTIONS=$CACHE/collections
export ROOT CACHE COLLECTIONS
export PIP_DISABLE_PIP_VERSION_CHECK=1 ANSIBLE_NOCOLOR=${ANSIBLE_NOCOLOR-} PYTHONDONTWRITEBYTECODE=1

# pyenv's shims answer 127 under ansible-test, which clears the environment: use the real directories instead.
if [ -d "${PYENV_ROOT:-$HOME/.pyenv}/versions" ]; then
    PATH=$(printf %s "$PATH" | tr ':' '\n' | grep -v '/\.pyenv/' | paste -sd:)
    for bin in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin; do PATH=$PATH:$bin; done
    export PATH
fi

say() { printf '\n== %s\n' "$*"; }

# python_for CORE: the newest Python on this machine that the ansible-core version (2.16, 2.18, 2.20, newest) runs on.
python_for() {
    local candidates
    case $1 in
        2.16) candidates="3.12 3.11 3.10" ;;
        2.18) candidates="3.13 3.12 3.11" ;;
        2.20) candidates="3.14 3.13 3.12" ;;
        *) candidates="3.12 3.13 3.14 3.11" ;;
    esac
    for version in $candidates; do
        if command -v "python$version" >/dev/null; then command -v "python$version"; return; fi
    done
    echo "no Python for ansible-core $1 on this machine (needs one of: $candidates)" >&2
    return 1
}

# venv NAME PYTHON REQUIREMENT...: makes $CACHE/venv/NAME once for this list of requirements and prints its path.
venv() {
    local python=$2 dir=$CACHE/venv/$1 stamp
    shift 2
    stamp=$(printf '%s\n' "$("$python" --version 2>&1)" "$@")
    if [ "$(cat "$dir/.stamp" 2>/dev/null)" != "$stamp" ]; then
        rm -rf "$dir"
        mkdir -p "$CACHE/venv"
        "$python" -m venv "$dir" >&2
        "$dir/bin/pip" install --quiet "$@" >&2
        printf '%s\n' "$stamp" > "$dir/.stamp"
    fi
    printf '%s\n' "$dir"
}

# core_requirement CORE: what pip is asked for.
core_requirement() {
    case $1 in newest) echo ansible-core ;; *) echo "ansible-core==$1.*" ;; esac
}

# apt_install LIST...: installs what is missing of the packages named in the files (one a line, # comments).
apt_install() {
    local wanted=() missing=() package
    mapfile -t wanted < <(sed 's/#.*//' "$@" | tr -s ' \t' '\n' | grep . | sort -u)
    for package in "${wanted[@]}"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    say "installing Debian packages: ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# install_collection DIR: builds the collection from the checkout and installs it below DIR, as a user would.
install_collection() {
    local dir=$1 ansible=$2 built
    built=$(mktemp -d)
    rm -rf "$dir/ansible_collections/agnostic/recovery"
    (cd "$ROOT" && "$ansible/bin/ansible-galaxy" collection build --output-path "$built" . >/dev/null)
    "$ansible/bin/ansible-galaxy" collection install --offline --force --collections-path "$dir" "$built"/*.tar.gz >/dev/null
    rm -rf "$built"
}

# bundled_collection DIR VENV NAMESPACE/NAME: has that collection below DIR, out of the Python package "ansible", which holds a hundred.
bundled_collection() {
    local dir=$1 venv=$2 name=$3 wheel
    [ ! -e "$dir/ansible_collections/$name/MANIFEST.json" ] || return 0
    wheel=$(mktemp -d)
    "$venv/bin/pip" download --quiet --no-deps --dest "$wheel" ansible
    "$venv/bin/python" -c '
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if name.startswith("ansible_collections/" + sys.argv[3] + "/")])
' "$wheel"/ansible-*.whl "$dir" "$name"
    rm -rf "$wheel"
}

# libvirt's QEMU driver does not start without the user that Debian's libvirt-daemon-system makes, which nothing here needs otherwise.
libvirt_user() {
    getent passwd libvirt-qemu >/dev/null ||
        useradd --system --user-group --home-dir /var/lib/libvirt --no-create-home --shell /usr/sbin/nologin libvirt-qemu
}
