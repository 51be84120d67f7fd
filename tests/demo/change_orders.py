# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes the demo machine's data through its running application: new orders, and older ones that are shipped.

    tests/demo/change --url http://127.0.0.1:8080 [--orders 25]

Prints the shop's state after it as JSON: {"count": 1025, "newest": "Order 1025: ...", "shipped": 25}.
"""

import argparse
import json
import sys
import urllib.request

from demobuild import data

TIMEOUT = 60  # seconds for one request; an emulated machine is slow


def call(url, body=None):
    """The decoded answer to a GET, or with a body to a POST."""
    content = None if body is None else json.dumps(body).encode("utf-8")
    request = urllib.request.Request(url, data=content, headers={"Content-Type": "application/json"})
    # Straight to the machine, whatever proxy this host has.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=TIMEOUT) as answer:
        return json.loads(answer.read().decode("utf-8"))


def change(demo, url, orders):
    """Adds the orders that follow the last one, and ships as many of the first. Returns the state after it."""
    last = call(url + "/orders.json")["newest"][0]["id"]
    for step in range(1, orders + 1):
        number = last + step
        added = call(url + "/orders", data.order(demo, number))
        if added["title"] != data.title(demo, number):
            raise ValueError("the shop took order %d as: %s" % (number, added["title"]))
        call("%s/orders/%d" % (url, step), {"state": "shipped"})
    after = call(url + "/orders.json")
    return {"count": after["count"], "newest": after["newest"][0]["title"], "shipped": after["shipped"]}


def main():
    demo = data.load()
    parser = argparse.ArgumentParser(prog="change", description="Changes the demo machine's data through its running application.")
    parser.add_argument("--url", required=True, help="where the shop's page is, such as http://127.0.0.1:8080")
    parser.add_argument("--orders", type=int, default=demo["orders"]["added"], help="orders to add (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        print(json.dumps(change(demo, arguments.url.rstrip("/"), arguments.orders)))
    except (OSError, ValueError, KeyError) as error:  # URLError and HTTPError are OSErrors
        sys.exit("change: %s: %s" % (arguments.url, error))


if __name__ == "__main__":
    main()
