"""Adds jobs with PyPI bullmq's Queue; prints their ids as one JSON array.

usage: add.py REDIS_URL QUEUE JOBS

JOBS is a JSON array of [name, data, opts].
"""

import asyncio
import json
import sys

from bullmq import Queue


async def main(url, name, jobs):
    queue = Queue(name, {"connection": url})
    ids = []
    for job_name, data, opts in jobs:
        job = await queue.add(job_name, data, opts)
        ids.append(job.id)
    await queue.close()
    print(json.dumps(ids))


asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
