"""Calls one method of PyPI bullmq's Queue and prints what it returned as JSON; jobs as their ids.

usage: call.py REDIS_URL QUEUE METHOD ARGUMENTS   (a JSON array)
"""

import asyncio
import inspect
import json
import sys

from bullmq import Job, Queue


def plain(value):
    if isinstance(value, Job):
        return value.id
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


async def main(url, name, method, arguments):
    queue = Queue(name, {"connection": url})
    value = getattr(queue, method)(*arguments)
    if inspect.isawaitable(value):
        value = await value
    print(json.dumps(plain(value)))
    await queue.close()


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])))
