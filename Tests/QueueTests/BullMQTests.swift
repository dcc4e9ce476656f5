import Foundation
import Testing

@testable import Queue

/// Shares queues with PyPI bullmq 3.4.4, in each direction.
@Suite(.serialized) struct BullMQTests {
    /// What the getters of bullmq say of a queue.
    private struct Report: Decodable {
        struct Job: Decodable, Equatable {
            let state: String
            let name: String
            let data: [String: String]?
            let returnvalue: [String: String]?
            let failedReason: String?
            let attemptsMade: Int
            let stacktrace: [String]?
        }

        let counts: [String: Int]
        let jobs: [String: Job]
    }

    private func report(on world: QueueWorld, _ id: String) async throws -> Report.Job {
        let lines = try await Peer.run("inspect_queue.py", QueueWorld.url(), world.queue, id)
        let report = try JSONDecoder().decode(Report.self, from: Data((lines.last ?? "").utf8))
        return try #require(report.jobs[id])
    }

    private func counts(on world: QueueWorld) async throws -> [String: Int] {
        let lines = try await Peer.run("inspect_queue.py", QueueWorld.url(), world.queue)
        let report = try JSONDecoder().decode(Report.self, from: Data((lines.last ?? "").utf8))
        return report.counts.filter { $0.value > 0 }
    }

    /// Jobs that bullmq's Queue adds: name, data, options.
    private func add(_ jobs: String, to world: QueueWorld) async throws -> [String] {
        let lines = try await Peer.run("add.py", QueueWorld.url(), world.queue, jobs)
        return try JSONDecoder().decode([String].self, from: Data((lines.last ?? "").utf8))
    }

    @Test func theirWorkerRunsOurJobs() async throws {
        let world = try QueueWorld()
        let data = #"{"text":"Grüße/😀 \"x\""}"#
        let ids = try await world.producer.add(
            [
                NewJob(name: "late", data: data, delay: .milliseconds(400)),
                NewJob(name: "low", data: data, priority: 5),
                NewJob(name: "high", data: data, priority: 1), NewJob(name: "plain", data: data, organisation: UUID()),
                NewJob(name: "front", data: data, lifo: true), NewJob(name: "custom", data: data, id: "mine"),
                NewJob(name: "fail-once", data: data, attempts: 3, backoff: .fixed(.milliseconds(10))),
                NewJob(name: "fail", data: data),
                NewJob(name: "gone", data: data, keepCompleted: Retention.nothing),
            ],
            to: world.queue
        )

        let lines = try await Peer.run("work.py", QueueWorld.url(), world.queue, "9")

        let names = lines.compactMap { JSONText(parsing: $0)?["name"]?.string }
        #expect(Set(names).count == 9)
        #expect(names.first == "front")
        #expect(lines.allSatisfy { JSONText(parsing: $0)?["data"] == JSONText(parsing: data) })
        let late = try await world.job(ids[0])
        #expect(JSONText(parsing: late["returnvalue"] ?? "")?["echo"] == JSONText(parsing: data))
        #expect(try await world.job(ids[6])["atm"] == "2")
        #expect(try await world.job(ids[7])["failedReason"] == "boom")
        #expect(try await world.job(ids[8]) == [:])
        #expect(try await world.inspector.counts(world.queue).states == ["completed": 7, "failed": 1])
    }

    @Test func ourConsumerRunsTheirJobs() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        let ids = try await add(
            """
            [["plain",{"text":"Grüße/😀"},{}],["late",{},{"delay":300}],["low",{},{"priority":5}],["high",{},{"priority":1}],
             ["custom",{},{"jobId":"theirs"}],["custom",{},{"jobId":"theirs"}],["front",{},{"lifo":true}],
             ["fails",{},{"attempts":3,"backoff":{"type":"exponential","delay":20}}],
             ["gone",{},{"removeOnComplete":true}]]
            """,
            to: world
        )

        let consumer = world.consumer { jobs in
            recorder.record(jobs)
            return jobs.map { $0.name == "fails" ? .failed(reason: "boom") : .completed(result: $0.data) }
        }
        try await world.with(consumer) {
            try await eventually("all have ended") {
                try await world.inspector.counts(world.queue).states == ["completed": 6, "failed": 1]
            }
        }

        #expect(recorder.jobs.first?.name == "front")
        #expect(recorder.jobs.filter { $0.name == "fails" }.map(\.attemptsMade) == [0, 1, 2])
        #expect(recorder.jobs.filter { $0.name == "custom" }.map(\.id) == ["theirs"])
        #expect(recorder.jobs.allSatisfy { $0.acceptedAt == $0.timestamp * 1000 })
        let plain = try await report(on: world, ids[0])
        #expect(
            plain
                == Report.Job(
                    state: "completed",
                    name: "plain",
                    data: ["text": "Grüße/😀"],
                    returnvalue: ["text": "Grüße/😀"],
                    failedReason: nil,
                    attemptsMade: 1,
                    stacktrace: []
                )
        )
        let failed = try await report(on: world, ids[7])
        #expect(failed.state == "failed")
        #expect(failed.failedReason == "boom")
        #expect(failed.attemptsMade == 3)
        #expect(failed.stacktrace == ["boom", "boom", "boom"])
        #expect(try await counts(on: world) == ["completed": 6, "failed": 1])
    }

    @Test func theirGettersSeeOurWaitingJobs() async throws {
        let world = try QueueWorld()
        try await world.producer.add(
            [
                NewJob(name: "a", data: "{}"), NewJob(name: "b", data: "{}", delay: .seconds(60)),
                NewJob(name: "c", data: "{}", priority: 3),
            ],
            to: world.queue
        )

        #expect(try await counts(on: world) == ["waiting": 1, "delayed": 1, "prioritized": 1])
        #expect(try await report(on: world, "2").state == "delayed")
    }

    @Test func eachObeysThePauseOfTheOther() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()

        try await world.with(
            world.consumer {
                recorder.record($0); return $0.map { _ in .completed() }
            }
        ) {
            _ = try await Peer.run("control.py", QueueWorld.url(), world.queue, "pause")
            try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)
            try await Task.sleep(for: .milliseconds(300))
            #expect(recorder.jobs.isEmpty)
            #expect(try await world.inspector.counts(world.queue).isPaused)

            _ = try await Peer.run("control.py", QueueWorld.url(), world.queue, "resume")
            try await eventually("it has run after the resume") { !recorder.jobs.isEmpty }
        }
    }

    @Test func runsAgainWhatTheirButtonRetries() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        let id = try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)

        let consumer = world.consumer { jobs in
            recorder.record(jobs)
            return jobs.map { $0.attemptsMade == 0 ? .failed(reason: "boom") : .completed() }
        }
        try await world.with(consumer) {
            try await eventually("it has failed") { try await world.inspector.counts(world.queue).failed == 1 }
            _ = try await Peer.run("control.py", QueueWorld.url(), world.queue, "retry")
            try await eventually("it is completed") { try await world.inspector.counts(world.queue).completed == 1 }
        }

        #expect(recorder.ids == [id, id])
        #expect(try await world.job(id)["failedReason"] == nil)
    }

    @Test func runsAJobOfTheirScheduler() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        _ = try await Peer.run("control.py", QueueWorld.url(), world.queue, "schedule")

        let consumer = world.consumer { jobs in
            recorder.record(jobs)
            return jobs.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("it is completed") { try await world.inspector.counts(world.queue).completed == 1 }
        }

        #expect(recorder.jobs.map(\.scheduler) == ["tick"])
        #expect(recorder.jobs.map(\.name) == ["tick"])
    }

    @Test func bothServeOneQueueTogether() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        let total = 600
        try await world.producer.add((0..<total).map { NewJob(name: "n", data: "{\"n\":\"\($0)\"}") }, to: world.queue)

        let consumer = world.consumer(ConsumerOptions(concurrency: 2)) { jobs in
            recorder.record(jobs)
            try? await Task.sleep(for: .milliseconds(10))
            return jobs.map { _ in .completed() }
        }
        var theirs: [String] = []
        try await world.with(consumer) {
            let lines = try await Peer.run("work.py", QueueWorld.url(), world.queue, "50")
            theirs = lines.compactMap { JSONText(parsing: $0)?["id"]?.string }
            try await eventually(within: .seconds(30), "all are completed") {
                try await world.inspector.counts(world.queue).states == ["completed": total]
            }
        }

        #expect((recorder.ids + theirs).sorted() == (1...total).map(String.init).sorted())
        #expect(theirs.count >= 50)
    }
}
