"""Hears a queue's events with PyPI bullmq's QueueEvents until so many jobs have ended, at least one of them well and one badly;
prints one JSON line per end.

usage: listen.py REDIS_URL QUEUE HOW_MANY
"""

import asyncio
import json
import sys

from bullmq import QueueEvents


async def main(url, queue, how_many):
    heard = set()
    ends = 0
    done = asyncio.Event()

    def note(event):
        def listener(fields, *_):
            nonlocal ends
            print(json.dumps({"event": event, **fields}), flush=True)
            heard.add(event)
            ends += 1
            if ends >= how_many and len(heard) == 2:
                done.set()

        return listener

    events = QueueEvents(queue, {"connection": url})
    events.on("completed", note("completed"))
    events.on("failed", note("failed"))
    await asyncio.wait_for(done.wait(), 30)
    await events.close()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
