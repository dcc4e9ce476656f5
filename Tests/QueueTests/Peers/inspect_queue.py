"""Reads a queue with PyPI bullmq's getters; prints one JSON object: counts, and per job its state and its fields.

usage: inspect_queue.py REDIS_URL QUEUE ID…
"""

import asyncio
import json
import sys

from bullmq import Queue


async def main(url, name, ids):
    queue = Queue(name, {"connection": url})
    jobs = {}
    for job_id in ids:
        job = await queue.getJob(job_id)
        jobs[job_id] = job and {
            "state": await queue.getJobState(job_id),
            "name": job.name,
            "data": job.data,
            "returnvalue": job.returnvalue,
            "failedReason": job.failedReason,
            "attemptsMade": job.attemptsMade,
            "stacktrace": job.stacktrace,
        }
    counts = await queue.getJobCounts()
    await queue.close()
    print(json.dumps({"counts": counts, "jobs": jobs}))


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
