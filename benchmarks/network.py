"""A network between a client and a server on one machine: each answer takes at least so long."""

from __future__ import annotations

import asyncio
import threading
from typing import Self


class Network:
    """A port on loopback that leads to a server (unix:/PATH); bytes take half of `delay_s` each way.

    bytes  what went through, each way

    Threads in a simulation share one machine, so bandwidth is not limited: what is transferred is counted instead.
    """

    def __init__(self, target: str, delay_s: float) -> None:
        self.bytes = {"up": 0, "down": 0}
        self.port = 0
        self._target = target
        self._half = delay_s / 2
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_unix_connection(self._target.removeprefix("unix:"))
        await asyncio.gather(
            self._pass_on(reader, there_writer, "up"),
            self._pass_on(there_reader, writer, "down"),
            return_exceptions=True,
        )

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        loop = asyncio.get_running_loop()
        while data := await reader.read(1 << 18):
            self.bytes[way] += len(data)
            loop.call_later(self._half, writer.write, data)  # in order: all are as late
        loop.call_later(self._half, writer.close)
