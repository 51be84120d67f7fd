# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Every target does its own set-up on a Debian machine, as root.

SHELL := /bin/bash
.PHONY: help drill drill-control test lint sanity sanity-all units system e2e live aws libvirt openstack chaos fleet matrix scale fuzz bench clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 16

drill: ## image a real server, recover it on other hardware, prove that it serves
	@tests/tools/drill

drill-control: ## boot the same restored disk without fix-ups: must not come up
	@tests/tools/drill-control

test: ## all tests that CI runs
	@tests/tools/test

lint: ## ansible-lint, documentation, changelog, importer
	@tests/tools/lint

sanity: ## ansible-test sanity on the oldest and the newest ansible-core
	@tests/tools/sanity 2.16 newest

sanity-all: ## ansible-test sanity and units on every supported ansible-core
	@tests/tools/sanity 2.16 2.18 2.20 newest && tests/tools/units 2.16 2.18 2.20 newest

units: ## unit tests: plain on every Python of the engine, and under ansible-test
	@tests/tools/units 2.16 newest

system: ## tests on real disks, file systems, guests
	@tests/tools/system

e2e: ## one real drill, asserted
	@tests/tools/e2e

live: ## capture real servers in QEMU while they work, recover them, compare
	@tests/tools/live tests/live/test_live.py

aws: ## recover the demo machine to an emulated AWS, boot what lies there
	@tests/tools/aws

matrix: ## boot recovered machines of many kinds on hardware of many kinds: SET=smoke or full, or CASE=name
	@tests/tools/matrix

fuzz: ## a minute for each reader of what comes from outside; FUZZ_SECONDS sets another time
	@tests/tools/fuzz

bench: ## capture and restore beside restic, borg, partclone, qemu-img
	@tests/tools/bench

libvirt: ## a libvirt on this machine: recover machines as its domains
	@tests/tools/libvirt

openstack: ## a real OpenStack on this machine: recover machines in it through Glance and from Cinder volumes
	@tests/tools/openstack

chaos: ## kill -9 of capture, prune and replicate running together, 100 rounds; of captures of a real server at the worst moments
	@tests/tools/chaos
	@tests/tools/live tests/live/test_chaos.py

fleet: ## six machines fail over at once, one of them broken, while the controller is killed ten times
	@tests/tools/fleet

scale: ## list, prune and verify a repository of 10,000 images and 5 million chunks
	@tests/tools/scale

clean: ## remove everything cached outside the checkout
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/agnostic.recovery"
