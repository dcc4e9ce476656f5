"""Pauses or resumes a queue, or asks for a retry of a failed job, with PyPI bullmq's Queue.

usage: control.py REDIS_URL QUEUE pause|resume|retry
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
    else:
        sys.exit(f"unknown command {what}")
    await queue.close()


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3]))
