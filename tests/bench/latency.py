"""A loopback proxy for plain HTTP/1.1 that answers late, and keeps a log.

Each request is passed on `latency` seconds after it came; others are not held up by it. Thousands at a time cost little,
since nothing but the heads of requests is read. In a process of its own, so that it takes no time from whom it serves.

    with LatencyProxy("127.0.0.1:5000", latency=0.05) as proxy: ... proxy.address, proxy.take() -> [Exchange]
"""
import asyncio
import multiprocessing
import time


class Exchange:
    """method, path; began and ended on one clock, in seconds."""

    def __init__(self, method, path, began, ended):
        self.method, self.path, self.began, self.ended = method, path, began, ended


def chain(exchanges):
    """The longest chain of requests each of which began after the one before it was answered: dependent round trips."""
    count, free = 0, float("-inf")
    for one in sorted(exchanges, key=lambda one: one.ended):
        if one.began >= free:
            count, free = count + 1, one.ended
    return count


class LatencyProxy:
    def __init__(self, upstream, latency=0.0):
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=_run, args=(upstream, latency, theirs), daemon=True)
        self.process.start()
        self.address = f"127.0.0.1:{self.pipe.recv()}"

    def take(self):
        """Returns what went by since the last call."""
        self.pipe.send("take")
        return [Exchange(*one) for one in self.pipe.recv()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.join()


def _run(upstream, latency, pipe):
    asyncio.run(_serve(upstream, latency, pipe))


async def _serve(upstream, latency, pipe):
    log = []
    host, port = upstream.rsplit(":", 1)

    async def handle(reader, writer):
        try:
            up_reader, up_writer = await asyncio.open_connection(host, int(port), limit=1 << 20)
        except OSError:
            writer.close()
            return
        waiting = []

        async def answers():
            while data := await up_reader.read(1 << 18):
                if waiting:
                    method, path, began = waiting.pop(0)
                    log.append((method, path, began, time.monotonic()))
                writer.write(data)
                await writer.drain()

        back = asyncio.create_task(answers())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                began = time.monotonic()
                lines = head.decode("latin-1").split("\r\n")
                method, path = lines[0].split(" ")[:2]
                length = next((int(line.split(":", 1)[1]) for line in lines[1:] if line.lower().startswith("content-length:")), 0)
                body = await reader.readexactly(length)
                if latency:
                    await asyncio.sleep(latency)
                waiting.append((method, path, began))
                up_writer.write(head + body)
                await up_writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            up_writer.close()
            back.cancel()
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=1 << 20, backlog=1024)
    pipe.send(server.sockets[0].getsockname()[1])
    loop = asyncio.get_running_loop()

    def asked():
        try:
            pipe.recv()
        except EOFError:
            loop.stop()
            return
        pipe.send(log[:])
        log.clear()

    loop.add_reader(pipe.fileno(), asked)
    async with server:
        await server.serve_forever()
