# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A distant server: forwards TCP and holds back every byte for half of the round trip, each way; bandwidth is not limited.

    python3 delay.py HOST PORT ROUND_TRIP_SECONDS     serves on a free port of 127.0.0.1, which it prints, until it is killed
"""

import asyncio
import sys

READ = 1 << 20
AHEAD = 128          # reads held back at most, a direction


async def carry(reader, writer, delay):
    """Forward one direction until its end."""
    held = asyncio.Queue(AHEAD)
    now = asyncio.get_running_loop().time

    async def take():
        data = b"-"
        while data:
            data = await reader.read(READ)
            await held.put((now() + delay, data))

    taking = asyncio.ensure_future(take())
    try:
        while True:
            due, data = await held.get()
            await asyncio.sleep(max(0, due - now()))
            if not data:
                break
            writer.write(data)
            await writer.drain()
    finally:
        taking.cancel()
        writer.close()


async def serve(host, port, delay):
    async def accept(reader, writer):
        await asyncio.sleep(2 * delay)              # the handshake
        there, back = await asyncio.open_connection(host, port, limit=2 * READ)
        await asyncio.gather(carry(reader, back, delay), carry(there, writer, delay), return_exceptions=True)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=2 * READ, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 2))
