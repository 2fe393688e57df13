# SPDX-License-Identifier: Apache-2.0
"""Sockets of this process in another network namespace: what a thread opens after enter() is there."""
import asyncio
import concurrent.futures
import ctypes
import os
import threading

from . import names

CLONE_NEWNET = 0x40000000


def enter(namespace):
    """For the calling thread alone, and for good. Threads that it starts are there too."""
    with open(f"{names.NETNS}/{namespace}", "rb") as opened:
        library = ctypes.CDLL(None, use_errno=True)
        if library.setns(opened.fileno(), CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"setns {namespace}: {os.strerror(code)}")


def call(namespace, function, *args, **how):
    """Runs the function in a thread over there and returns what it does, e.g. a connected socket."""
    with concurrent.futures.ThreadPoolExecutor(1, initializer=enter, initargs=(namespace,)) as pool:
        return pool.submit(function, *args, **how).result()


class Loop:
    """An asyncio loop over there, in a thread of its own."""

    def __init__(self, namespace):
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self._main, args=(namespace, ready), daemon=True)
        self.thread.start()
        ready.wait(5)

    def _main(self, namespace, ready):
        enter(namespace)
        asyncio.set_event_loop(self.loop)
        self.loop.call_soon(ready.set)
        self.loop.run_forever()

    def run(self, coroutine, timeout=20):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def close(self):
        async def end():
            while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

        self.loop.set_exception_handler(lambda *_: None)  # what is cut off has nothing to tell
        self.run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()
