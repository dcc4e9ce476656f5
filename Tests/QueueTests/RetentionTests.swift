import Testing

@testable import Queue

@Suite struct RetentionTests {
    @Test(arguments: [
        ("true", Retention.nothing), ("false", .all), ("7", Retention(count: 7)), ("0", .nothing), ("-1", .all),
        (#"{"count":10}"#, Retention(count: 10)),
        (#"{"age":3600,"count":10,"limit":5}"#, Retention(count: 10, age: .seconds(3600))),
        (#"{"age":60}"#, Retention(age: .seconds(60))), ("\"soon\"", nil),
    ])
    func readsTheOptionsOfOtherClients(_ text: String, _ expected: Retention?) throws {
        #expect(Retention(try #require(JSONText(parsing: text))) == expected)
    }

    @Test(arguments: [
        Retention.all, .nothing, Retention(count: 5), Retention(age: .seconds(60)),
        Retention(count: 5, age: .seconds(60)),
    ])
    func readsWhatItWrites(_ retention: Retention) throws {
        #expect(Retention(try #require(JSONText(parsing: retention.json))) == retention)
    }

    @Test func theOldestOfTheFinishedGoWhereTheyTakeTooMuchMemory() async throws {
        let world = try QueueWorld()
        let data = "\"" + String(repeating: "x", count: 100_000) + "\""
        try await world.producer.add((0..<5).map { _ in NewJob(name: "n", data: data) }, to: world.queue)
        // Who looks does so at the start and once a minute: the first one doesn't.
        try await world.with(world.consumer(ConsumerOptions(keepBytes: nil)) { $0.map { _ in .completed() } }) {
            try await eventually("all are done") { try await world.inspector.counts(world.queue).completed == 5 }
        }

        try await world.with(world.consumer(ConsumerOptions(keepBytes: 250_000)) { $0.map { _ in .completed() } }) {
            try await eventually("two are left") { try await world.inspector.counts(world.queue).completed == 2 }
        }

        #expect(try await world.job("3") == [:])
        #expect(try await world.job("4")["data"] == data)
    }
}
