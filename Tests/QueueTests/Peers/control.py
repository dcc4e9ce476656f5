"""Pauses or resumes a queue, asks for a retry of failed jobs, or sets up a scheduler, with PyPI bullmq's Queue.

usage: control.py REDIS_URL QUEUE pause|resume|retry|schedule
"""

import asyncio
import sys

from bullmq import Queue


async def main(url, name, what):
    queue = Queue(name, {"connection": url})
    if what == "pause":
        await queue.pause()
    elif what == "resume":
        await queue.resume()
    elif what == "retry":
        await queue.retryJobs({"state": "failed"})
    elif what == "schedule":
        await queue.upsertJobScheduler("tick", {"every": 60000}, "tick", {"a": "1"})
    else:
        sys.exit(f"unknown command {what}")
    await queue.close()


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3]))
