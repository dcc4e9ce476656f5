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
}
