import Foundation
import Redis
import Testing

@testable import Queue

@Suite struct ProducerTests {
    @Test func writesAJobAsOtherClientsDo() async throws {
        let world = try QueueWorld()
        let organisation = UUID()
        let job = NewJob(
            name: "send",
            data: #"{"to":"a/b ü 😀"}"#,
            priority: 0,
            attempts: 3,
            backoff: .exponential(.seconds(2)),
            keepCompleted: Retention(count: 5),
            organisation: organisation,
            trace: "t-1"
        )

        let id = try await world.producer.add(job, to: world.queue)

        var fields = try await world.job(id)
        let timestamp = try #require(Int64(fields.removeValue(forKey: "timestamp") ?? ""))
        let accepted = try #require(Int64(fields.removeValue(forKey: "acc") ?? ""))
        #expect(accepted / 1000 == timestamp)
        #expect(
            fields == [
                "name": "send", "data": #"{"to":"a/b ü 😀"}"#, "delay": "0", "priority": "0",
                "opts":
                    #"{"attempts":3,"delay":0,"backoff":{"type":"exponential","delay":2000},"removeOnComplete":{"count":5}}"#,
                "org": organisation.uuidString.lowercased(), "trace": "t-1",
            ]
        )
        #expect(id == "1")
        #expect(try await world.list("wait") == ["1"])
        #expect(try await world.command("ZRANGE", world.key("marker"), "0", "-1") == .array([.string("0")]))
        #expect(try await world.events() == ["added", "waiting"])
        #expect(try await world.command("HGET", world.key("meta"), "opts.maxLenEvents") == .string("10000"))
    }

    @Test func putsEachKindInItsPlace() async throws {
        let world = try QueueWorld()
        let jobs = [
            NewJob(name: "a", data: "{}"), NewJob(name: "b", data: "{}", lifo: true),
            NewJob(name: "c", data: "{}", priority: 9), NewJob(name: "d", data: "{}", priority: 2),
            NewJob(name: "e", data: "{}", delay: .seconds(60)), NewJob(name: "f", data: "{}", delay: .seconds(60)),
        ]

        let ids = try await world.producer.add(jobs, to: world.queue)

        #expect(ids == ["1", "2", "3", "4", "5", "6"])
        #expect(try await world.list("wait") == ["1", "2"])
        let prioritized = try await world.command("ZRANGE", world.key("prioritized"), "0", "-1", "WITHSCORES")
        #expect(prioritized.array?.compactMap(\.text) == ["4", "8589934594", "3", "38654705665"])
        let delayed = try await world.command("ZRANGE", world.key("delayed"), "0", "-1", "WITHSCORES").array ?? []
        let due = try #require(Int64(try await world.job("5")["timestamp"] ?? "")) + 60_000
        #expect(delayed.compactMap(\.text) == ["5", "\(due * 4096)", "6", "\(due * 4096 + 1)"])
        let counts = try await world.inspector.counts(world.queue)
        #expect(counts.states == ["wait": 2, "prioritized": 2, "delayed": 2])
        #expect(try await world.command("ZSCORE", world.key("marker"), "1") == .string("\(due)"))
    }

    @Test func addsAnIdOnce() async throws {
        let world = try QueueWorld()
        let first = NewJob(name: "a", data: "1", id: "mine")
        let second = NewJob(name: "b", data: "2", id: "mine")

        let ids = try await world.producer.add([first, second, first], to: world.queue)

        #expect(ids == ["mine", "mine", "mine"])
        #expect(try await world.job("mine")["data"] == "1")
        #expect(try await world.list("wait") == ["mine"])
        #expect(try await world.command("GET", world.key("id")) == .string("3"))
        #expect(try await world.events() == ["added", "waiting", "duplicated", "duplicated"])
    }

    @Test(arguments: ["", "17", "a:b", "meta", "wait"])
    func refusesIdsThatWouldMeetOtherKeys(_ id: String) async throws {
        let world = try QueueWorld()

        await #expect(throws: RedisError.self) {
            try await world.producer.add(NewJob(name: "a", data: "{}", id: id), to: world.queue)
        }

        #expect(try await world.command("EXISTS", world.key("id")) == .integer(0))
    }

    @Test func acceptsInAStrictlyRisingOrder() async throws {
        let world = try QueueWorld()
        // The clock of Redis seems to stand in the past of the last acceptance.
        let ahead = Int64(Date().timeIntervalSince1970 * 1_000_000) + 3_600_000_000
        _ = try await world.command("HSET", world.key("meta"), "acc", "\(ahead)")

        var ids = try await world.producer.add((0..<250).map { NewJob(name: "n\($0)", data: "{}") }, to: world.queue)
        ids.append(try await world.producer.add(NewJob(name: "last", data: "{}"), to: world.queue))

        var accepted: [Int64] = []
        for id in ids { accepted.append(Int64(try await world.job(id)["acc"] ?? "") ?? 0) }
        #expect(accepted == (1...251).map { ahead + $0 })
    }

    @Test func leavesTheMarkerAloneWhilePaused() async throws {
        let world = try QueueWorld()
        _ = try await world.command("HSET", world.key("meta"), "paused", "1")

        try await world.producer.add(NewJob(name: "a", data: "{}"), to: world.queue)
        try await world.producer.add(NewJob(name: "b", data: "{}", delay: .seconds(9)), to: world.queue)

        #expect(try await world.command("ZRANGE", world.key("marker"), "0", "-1") == .array([.string("1")]))
        #expect(try await world.list("wait") == ["1"])
    }

    @Test func followsAPauseOfVersionFive() async throws {
        let world = try QueueWorld()
        _ = try await world.command("HSET", world.key("meta"), "paused", "1")
        _ = try await world.command("LPUSH", world.key("paused"), "earlier")

        try await world.producer.add(NewJob(name: "a", data: "{}"), to: world.queue)

        #expect(try await world.list("paused") == ["1", "earlier"])
        #expect(try await world.list("wait") == [])
        #expect(try await world.inspector.counts(world.queue).wait == 2)
    }

    @Test func marksNothingAtTheQueuesOwnConcurrency() async throws {
        let world = try QueueWorld()
        _ = try await world.command("HSET", world.key("meta"), "concurrency", "1")
        _ = try await world.command("LPUSH", world.key("active"), "other")

        try await world.producer.add(NewJob(name: "a", data: "{}"), to: world.queue)

        #expect(try await world.command("EXISTS", world.key("marker")) == .integer(0))
    }
}
