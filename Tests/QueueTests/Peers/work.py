"""Runs the jobs of one queue with PyPI bullmq's Worker until so many have ended; prints one JSON line per run.

usage: work.py REDIS_URL QUEUE HOW_MANY [OPTIONS]   (the worker's, a JSON object)

A job named "fail-once" fails at its first run, one named "fail" at every run, one named "hang" never ends the first time; the
others return
{"echo": data, "name": name}.
"""

import asyncio
import json
import sys

from bullmq import Worker


async def main(url, queue, how_many, options):
    ended = asyncio.Event()
    endings = 0

    async def process(job, token):
        print(json.dumps({"id": job.id, "name": job.name, "data": job.data}), flush=True)
        if job.name == "hang" and not options.get("rescues"):
            await asyncio.sleep(600)
        if job.name == "fail" or job.name == "fail-once" and job.attemptsMade == 0:
            raise RuntimeError("boom")
        return {"echo": job.data, "name": job.name}

    def count(*_):
        nonlocal endings
        endings += 1
        if endings >= how_many:
            ended.set()

    def count_failure(job, *_):
        if job and job.finishedOn:
            count()

    worker = Worker(queue, process, {"connection": url, "concurrency": 1, **options})
    worker.on("completed", count)
    worker.on("failed", count_failure)
    await asyncio.wait_for(ended.wait(), 30)
    await worker.close()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4] if len(sys.argv) > 4 else "{}")))
