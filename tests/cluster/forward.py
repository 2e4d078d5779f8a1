"""Connects a listening socket of the machine with the API server inside the node's network namespace.

A socket stays in the network namespace in which it was made. So the machine's side is made by `Node.up`
outside and inherited here, while this process, and with it the connections that it opens, is inside.
"""

import argparse
import asyncio
import socket

BLOCK = 1 << 16


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction of a connection until its end."""
    try:
        while block := await reader.read(BLOCK):
            writer.write(block)
            await writer.drain()
        writer.write_eof()
    except (ConnectionError, OSError):
        writer.close()


async def serve(listener: socket.socket, port: int) -> None:
    """Forward every connection of `listener` to a port of the loopback address."""

    async def handle(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            to_client.close()
            return
        await asyncio.gather(copy(client, to_server), copy(server, to_client))
        to_server.close()
        to_client.close()

    async with await asyncio.start_server(handle, sock=listener) as forwarder:
        await forwarder.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="inherited listening socket")
    parser.add_argument("--port", type=int, required=True, help="port of the API server")
    arguments = parser.parse_args()
    asyncio.run(serve(socket.socket(fileno=arguments.fd), arguments.port))
