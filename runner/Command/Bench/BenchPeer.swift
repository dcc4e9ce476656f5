/// The same measurement of PyPI bullmq.
enum BenchPeer {
    /// usage: peer.py REDIS_URL JOBS; prints ``QueueFigures`` as JSON.
    static let script = #"""
        import asyncio, json, sys, time
        from bullmq import Queue, Worker

        DATA = {"to": "a customer", "text": "Hello"}

        async def main(url, jobs):
            figures = {}
            single = Queue("peer-single", {"connection": url})
            began = time.perf_counter()
            async def caller():
                for _ in range(jobs // 64):
                    await single.add("no-op", DATA, {})
            await asyncio.gather(*[caller() for _ in range(64)])
            figures["added"] = jobs // 64 * 64 / (time.perf_counter() - began)
            many = Queue("peer-many", {"connection": url})
            began = time.perf_counter()
            batch = [{"name": "no-op", "data": DATA} for _ in range(100)]
            for _ in range(jobs // 100):
                await many.addBulk(batch)
            total = jobs // 100 * 100
            figures["addedTogether"] = total / (time.perf_counter() - began)

            done = 0
            async def process(job, token):
                nonlocal done
                done += 1

            async def cpu():
                info = await many.client.info("cpu")
                return (info["used_cpu_sys"] + info["used_cpu_user"]) * 1e6

            before = await cpu()
            began = time.perf_counter()
            worker = Worker("peer-many", process, {"connection": url, "concurrency": 100, "removeOnComplete": {"count": 1000}})
            while done < total:
                await asyncio.sleep(0.005)
            figures["processed"] = total / (time.perf_counter() - began)
            await asyncio.sleep(0.2)
            figures["redisCPU"] = (await cpu() - before) / total
            await worker.close()

            async def wakes(rounds, delay):
                queue = Queue("peer-wake", {"connection": url})
                begun = asyncio.Event()
                at = 0
                async def note(job, token):
                    nonlocal at
                    at = time.perf_counter()
                    begun.set()
                worker = Worker("peer-wake", note, {"connection": url})
                waits = []
                await asyncio.sleep(0.2)
                for _ in range(rounds):
                    await asyncio.sleep(0.02)
                    begun.clear()
                    due = time.perf_counter() + delay / 1000
                    await queue.add("no-op", DATA, {"delay": delay} if delay else {})
                    await begun.wait()
                    waits.append((at - due) * 1000)
                await worker.close()
                await queue.close()
                waits.sort()
                return waits[len(waits) // 2], waits[len(waits) * 99 // 100]

            figures["idleP50"], figures["idleP99"] = await wakes(100, 0)
            figures["delayedP50"], figures["delayedP99"] = await wakes(10, 100)
            await single.close()
            await many.close()
            print(json.dumps(figures))

        asyncio.run(main(sys.argv[1], int(sys.argv[2])))
        """#
}
