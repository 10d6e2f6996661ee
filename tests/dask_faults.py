"""A scheduler with workers as somebody else would run them, for tests: ``python -m tests.dask_faults ...``.

``scheduler [CA CERT KEY]`` prints its address; ``worker ADDRESS NAME [nanny]`` works until it is killed.
"""

import asyncio
import os
import sys
import time

from distributed import Nanny, Scheduler, Worker
from distributed.security import Security


def nap_and_say(seconds, stopwatch):
    time.sleep(seconds)
    return os.getpid()


def environment(_, stopwatch):
    return dict(os.environ)


async def scheduler(*files):
    security = Security(**dict(zip(("tls_ca_file", "tls_scheduler_cert", "tls_scheduler_key"), files, strict=False)))
    protocol = "tls" if files else "tcp"
    async with Scheduler(
        host="127.0.0.1", port=0, protocol=protocol, dashboard_address="127.0.0.1:0", security=security
    ) as one:
        print(one.address, flush=True)
        await one.finished()


async def worker(address, name, *options):
    kind = Nanny if "nanny" in options else Worker
    files = [option for option in options if option != "nanny"]
    security = Security(**dict(zip(("tls_ca_file", "tls_worker_cert", "tls_worker_key"), files, strict=False)))
    async with kind(address, name=name, nthreads=2, security=security, dashboard_address="127.0.0.1:0") as one:
        await one.finished()


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    asyncio.run({"scheduler": scheduler, "worker": worker}[what](*arguments))
