# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shop: the application of the demo machine. Shows and takes orders, which live in PostgreSQL.

    GET  /              the page: number of orders, the newest orders
    GET  /orders.json   the same as JSON
    POST /orders        adds one: {"item": "...", "quantity": 1, "customer": 1}
    POST /orders/<id>   changes its state: {"state": "shipped"}
"""

import configparser
import html
import http.server
import json
import re

import psycopg2
import psycopg2.extras

CONFIG = "/etc/shop/shop.ini"
STATES = ("new", "paid", "shipped")
SHOWN = 20

SUMMARY = "SELECT count(*) AS count, coalesce(sum(quantity), 0) AS pieces, count(*) FILTER (WHERE state = 'shipped') AS shipped FROM orders"
NEWEST = "SELECT id, item, quantity, customer, state FROM orders ORDER BY id DESC LIMIT %s"
ADD = "INSERT INTO orders (item, quantity, customer) VALUES (%(item)s, %(quantity)s, %(customer)s) RETURNING id, item, quantity, customer, state"
CHANGE = "UPDATE orders SET state = %(state)s WHERE id = %(id)s RETURNING id, item, quantity, customer, state"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Shop</title></head><body>
<h1>Shop</h1>
<p id="count">{count} orders</p>
<p id="pieces">{pieces} pieces, {shipped} orders shipped</p>
<p id="newest">{newest}</p>
<table><tr><th>Order</th><th>State</th></tr>
{rows}
</table></body></html>
"""


def title(order):
    return "Order {id}: {quantity} x {item} for customer {customer:04d}".format(**order)


class Database:
    """One connection for each request: the shop is small, and survives a restart of its database."""

    def __init__(self, settings):
        self.settings = settings

    def rows(self, statement, values=None):
        connection = psycopg2.connect(cursor_factory=psycopg2.extras.RealDictCursor, **self.settings)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall()
        finally:
            connection.close()

    def overview(self):
        summary = self.rows(SUMMARY)[0]
        orders = [dict(row, title=title(row)) for row in self.rows(NEWEST, (SHOWN,))]
        return {"count": summary["count"], "pieces": summary["pieces"], "shipped": summary["shipped"], "newest": orders}


class Handler(http.server.BaseHTTPRequestHandler):
    database = None

    def do_GET(self):
        if self.path == "/":
            overview = self.database.overview()
            rows = "\n".join("<tr><td>{}</td><td>{}</td></tr>".format(html.escape(order["title"]), order["state"]) for order in overview["newest"])
            newest = overview["newest"][0]["title"] if overview["newest"] else "No orders"
            page = PAGE.format(rows=rows, **dict(overview, newest=html.escape(newest)))
            self.answer(200, "text/html; charset=utf-8", page)
        elif self.path == "/orders.json":
            self.answer_json(200, self.database.overview())
        else:
            self.answer_json(404, {"error": "no such page"})

    def do_POST(self):
        match = re.fullmatch(r"/orders(?:/([0-9]{1,9}))?", self.path)
        if not match:
            self.answer_json(404, {"error": "no such page"})
            return
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode("utf-8"))
            if match.group(1):
                if body["state"] not in STATES:
                    raise ValueError("state")
                statement, values = CHANGE, {"id": int(match.group(1)), "state": body["state"]}
            else:
                statement, values = ADD, {"item": str(body["item"]), "quantity": int(body["quantity"]), "customer": int(body["customer"])}
        except (ValueError, KeyError, TypeError) as error:
            self.answer_json(400, {"error": "not an order: {}".format(error)})
            return
        rows = self.database.rows(statement, values)
        if rows:
            self.answer_json(200, dict(rows[0], title=title(rows[0])))
        else:
            self.answer_json(404, {"error": "no such order"})

    def answer_json(self, status, value):
        self.answer(status, "application/json", json.dumps(value) + "\n")

    def answer(self, status, kind, text):
        body = text.encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    config = configparser.ConfigParser(interpolation=None)
    with open(CONFIG, encoding="utf-8") as file:
        config.read_file(file)
    Handler.database = Database(dict(config["database"]))
    http.server.ThreadingHTTPServer(("127.0.0.1", config.getint("http", "port")), Handler).serve_forever()


if __name__ == "__main__":
    main()
