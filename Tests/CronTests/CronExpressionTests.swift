import Foundation
import Testing

@testable import Cron

@Suite struct CronExpressionTests {
    /// Expression, the time before, the next ones; all in UTC.
    static let plain: [(String, String, [String])] = [
        ("* * * * *", "2026-11-23T01:02:03Z", ["2026-11-23T01:03:00Z", "2026-11-23T01:04:00Z"]),
        ("* * * * *", "2026-11-23T01:02:00Z", ["2026-11-23T01:03:00Z"]),
        ("*/15 * * * *", "2026-11-23T01:50:00Z", ["2026-11-23T02:00:00Z", "2026-11-23T02:15:00Z"]),
        ("5/20 * * * *", "2026-11-23T01:50:00Z", ["2026-11-23T02:05:00Z", "2026-11-23T02:25:00Z"]),
        ("*/10 * * * * *", "2026-11-23T23:59:45Z", ["2026-11-23T23:59:50Z", "2026-11-24T00:00:00Z"]),
        ("30 2 * * *", "2026-11-23T02:30:00Z", ["2026-11-24T02:30:00Z"]),
        ("0 9-17/4 * * mon-fri", "2026-11-20T17:00:00Z", ["2026-11-23T09:00:00Z", "2026-11-23T13:00:00Z"]),
        ("0 0 1 JAN,jul *", "2026-11-23T00:00:00Z", ["2027-01-01T00:00:00Z", "2027-07-01T00:00:00Z"]),
        ("0 0 29 2 *", "2026-11-23T00:00:00Z", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        ("0 0 29 2 *", "2096-11-23T00:00:00Z", ["2104-02-29T00:00:00Z"]),
        (
            "0 0 31 * *", "2026-11-23T00:00:00Z",
            ["2026-12-31T00:00:00Z", "2027-01-31T00:00:00Z", "2027-03-31T00:00:00Z"]
        ),
        ("0 0 * * 7", "2026-11-23T00:00:00Z", ["2026-11-29T00:00:00Z"]),
        (
            "0 0 * * 5-7", "2026-11-23T00:00:00Z",
            ["2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"]
        ),
        (
            "0 0 13 * fri", "2026-11-23T00:00:00Z",
            ["2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z"]
        ),
        ("0 0 ? * fri", "2026-11-23T00:00:00Z", ["2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z"]),
        ("0 0 */10 * fri", "2026-11-23T00:00:00Z", ["2026-11-27T00:00:00Z", "2026-12-01T00:00:00Z"]),
        ("@hourly", "2026-12-31T23:30:00Z", ["2027-01-01T00:00:00Z"]),
        ("@weekly", "2026-11-23T00:00:00Z", ["2026-11-29T00:00:00Z"]),
        ("0 12 * * *", "1969-12-30T12:00:00Z", ["1969-12-31T12:00:00Z"]),
    ]

    /// What the readers of BullMQ's clients, cron-parser and croniter, make of a pattern: expression, the time before, the next
    /// ones; all in UTC.
    static let foreign: [(String, String, [String])] = [
        // A step in a field of days restricts it: either one suffices.
        (
            "0 0 */10 * 1", "2026-11-22T12:00:00Z",
            ["2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z", "2026-12-07T00:00:00Z"]
        ),
        (
            "0 0 1 * */3", "2026-11-24T12:00:00Z",
            ["2026-11-25T00:00:00Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"]
        ),
        ("0 0 1-31 * 1", "2026-11-24T12:00:00Z", ["2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"]),
        ("0 0 13 * */1", "2026-11-24T12:00:00Z", ["2026-12-13T00:00:00Z"]),
        (
            "0 0 ? * 5-7", "2026-11-23T00:00:00Z",
            ["2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"]
        ),
        ("30 0 12 * * *", "2026-11-23T12:00:30Z", ["2026-11-24T12:00:30Z"]),
        ("@yearly", "2026-11-23T00:00:00Z", ["2027-01-01T00:00:00Z"]),
        ("@annually", "2026-11-23T00:00:00Z", ["2027-01-01T00:00:00Z"]),
        ("@monthly", "2026-11-23T00:00:00Z", ["2026-12-01T00:00:00Z"]),
        ("@weekly", "2026-11-23T00:00:00Z", ["2026-11-29T00:00:00Z"]),
        ("@daily", "2026-11-23T00:00:00Z", ["2026-11-24T00:00:00Z"]),
        ("@midnight", "2026-11-23T00:00:00Z", ["2026-11-24T00:00:00Z"]),
        ("@hourly", "2026-11-23T00:00:00Z", ["2026-11-23T01:00:00Z"]),
    ]

    /// Days that each month counts anew: expression, the time before, the next ones; all in UTC.
    static let daysByMonth: [(String, String, [String])] = [
        // The last day, of short months, in leap years and in centuries that have none.
        (
            "0 0 L * *", "2027-01-30T00:00:00Z",
            ["2027-01-31T00:00:00Z", "2027-02-28T00:00:00Z", "2027-03-31T00:00:00Z", "2027-04-30T00:00:00Z"]
        ),
        ("0 0 L 2 *", "2027-12-31T00:00:00Z", ["2028-02-29T00:00:00Z", "2029-02-28T00:00:00Z"]),
        ("0 0 L 2 *", "2099-12-31T00:00:00Z", ["2100-02-28T00:00:00Z", "2101-02-28T00:00:00Z"]),
        ("0 0 L 2 *", "2399-12-31T00:00:00Z", ["2400-02-29T00:00:00Z"]),
        ("0 0 L 2 *", "1967-12-31T00:00:00Z", ["1968-02-29T00:00:00Z", "1969-02-28T00:00:00Z"]),
        ("30 59 23 L 12 *", "2026-12-31T23:59:00Z", ["2026-12-31T23:59:30Z", "2027-12-31T23:59:30Z"]),
        (
            "0 0 1,15,L * *", "2027-02-01T00:00:00Z",
            ["2027-02-15T00:00:00Z", "2027-02-28T00:00:00Z", "2027-03-01T00:00:00Z", "2027-03-15T00:00:00Z"]
        ),
        ("0 0 31,L 2 ?", "2026-11-23T00:00:00Z", ["2027-02-28T00:00:00Z"]),
        // A last Friday, and others beside it.
        (
            "0 0 * * 5L", "2026-11-23T00:00:00Z",
            ["2026-11-27T00:00:00Z", "2026-12-25T00:00:00Z", "2027-01-29T00:00:00Z", "2027-02-26T00:00:00Z"]
        ),
        ("0 0 * 2 monL", "2027-12-31T00:00:00Z", ["2028-02-28T00:00:00Z", "2029-02-26T00:00:00Z"]),
        ("0 0 * 2 TUEL", "2027-12-31T00:00:00Z", ["2028-02-29T00:00:00Z", "2029-02-27T00:00:00Z"]),
        ("0 0 * * 7L", "2026-11-23T00:00:00Z", ["2026-11-29T00:00:00Z", "2026-12-27T00:00:00Z"]),
        ("0 0 * * 0L", "2026-11-23T00:00:00Z", ["2026-11-29T00:00:00Z", "2026-12-27T00:00:00Z"]),
        ("0 0 * * 1L,5L", "2026-11-27T00:00:00Z", ["2026-11-30T00:00:00Z", "2026-12-25T00:00:00Z"]),
        (
            "0 0 * * 4,6L", "2026-11-20T00:00:00Z",
            ["2026-11-26T00:00:00Z", "2026-11-28T00:00:00Z", "2026-12-03T00:00:00Z"]
        ),
        // A numbered one; a fifth is in some months only, in February in few years.
        ("0 0 * * 1#1", "2026-11-23T00:00:00Z", ["2026-12-07T00:00:00Z", "2027-01-04T00:00:00Z"]),
        ("0 0 * * 2#1", "2026-11-23T00:00:00Z", ["2026-12-01T00:00:00Z", "2027-01-05T00:00:00Z"]),
        ("0 0 ? * Fri#2", "2026-11-23T00:00:00Z", ["2026-12-11T00:00:00Z", "2027-01-08T00:00:00Z"]),
        ("0 0 * * 7#4", "2026-11-23T00:00:00Z", ["2026-12-27T00:00:00Z", "2027-01-24T00:00:00Z"]),
        (
            "0 0 * * 5#5", "2026-11-23T00:00:00Z",
            ["2027-01-29T00:00:00Z", "2027-04-30T00:00:00Z", "2027-07-30T00:00:00Z"]
        ),
        ("0 0 * 2 5#5", "2026-11-23T00:00:00Z", ["2036-02-29T00:00:00Z", "2064-02-29T00:00:00Z"]),
        ("0 0 * 2 5#5", "2064-03-01T00:00:00Z", ["2092-02-29T00:00:00Z", "2104-02-29T00:00:00Z"]),
        // Both days restricted: either one suffices.
        (
            "0 0 L * 1#1", "2026-11-23T00:00:00Z",
            ["2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z", "2026-12-31T00:00:00Z", "2027-01-04T00:00:00Z"]
        ),
        (
            "0 0 8 * 5L", "2026-11-23T00:00:00Z",
            ["2026-11-27T00:00:00Z", "2026-12-08T00:00:00Z", "2026-12-25T00:00:00Z"]
        ),
        ("0 0 L * *,5L", "2026-11-23T00:00:00Z", ["2026-11-24T00:00:00Z"]),
    ]

    @Test(arguments: daysByMonth) func countsTheDaysOfEachMonthAnew(
        text: String,
        start: String,
        expected: [String]
    ) throws {
        #expect(try fires(text, after: start, in: "UTC", count: expected.count) == expected)
    }

    @Test(arguments: foreign) func readsWhatOtherClientsWriteAsTheyDo(
        text: String,
        start: String,
        expected: [String]
    ) throws {
        #expect(try fires(text, after: start, in: "UTC", count: expected.count) == expected)
    }

    @Test(arguments: plain) func firesAtTheNextMatch(text: String, start: String, expected: [String]) throws {
        #expect(try fires(text, after: start, in: "UTC", count: expected.count) == expected)
    }

    @Test func countsFractionsOfASecondAsPast() throws {
        let start = try Date("2026-11-23T01:02:59Z", strategy: .iso8601) + 0.5

        #expect(
            try CronExpression("* * * * *").next(after: start, in: .gmt)
                == Date("2026-11-23T01:03:00Z", strategy: .iso8601)
        )
    }

    /// Zone, expression, the time before, the next ones.
    static let changes: [(String, String, String, [String])] = [
        // 2026-03-29: 02:00 CET becomes 03:00 CEST; 2026-10-25: 03:00 CEST becomes 02:00 CET.
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),
        ("Europe/Berlin", "*/30 2 * * *", "2026-03-28T12:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]),
        (
            "Europe/Berlin", "0 * * * *", "2026-03-28T23:30:00Z",
            ["2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"]
        ),
        ("Europe/Berlin", "0 3 * * *", "2026-03-28T12:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"]),
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00:00Z", ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
        ("Europe/Berlin", "30 2 * * *", "2026-10-25T00:30:00Z", ["2026-10-26T01:30:00Z"]),
        ("Europe/Berlin", "30 2 * * *", "2026-10-25T01:15:00Z", ["2026-10-26T01:30:00Z"]),
        ("Europe/Berlin", "0 3 * * *", "2026-10-25T00:59:00Z", ["2026-10-25T02:00:00Z"]),
        // 2026-03-08: 02:00 EST becomes 03:00 EDT; 2026-11-01: 02:00 EDT becomes 01:00 EST.
        ("America/New_York", "15 2 * * *", "2026-03-07T12:00:00Z", ["2026-03-08T07:00:00Z", "2026-03-09T06:15:00Z"]),
        ("America/New_York", "15 1 * * *", "2026-10-31T12:00:00Z", ["2026-11-01T05:15:00Z", "2026-11-02T06:15:00Z"]),
        ("America/New_York", "59 1 1 11 *", "2026-11-01T05:59:30Z", ["2027-11-01T05:59:00Z"]),
        // Half an hour: 2026-10-04 02:00 becomes 02:30; 2026-04-05 02:00 becomes 01:30.
        (
            "Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00:00Z",
            ["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"]
        ),
        (
            "Australia/Lord_Howe", "45 1 * * *", "2026-04-04T00:00:00Z",
            ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]
        ),
        // Intervals go on through the hour that comes twice, and never fire twice at one instant.
        (
            "Europe/Berlin", "*/30 * * * *", "2026-10-25T00:15:00Z",
            ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"]
        ),
        (
            "Europe/Berlin", "*/30 * * * *", "2026-03-29T00:15:00Z",
            ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]
        ),
        (
            "America/New_York", "0 */1 * * *", "2026-11-01T04:30:00Z",
            ["2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z"]
        ),
        (
            "Australia/Lord_Howe", "*/15 * * * *", "2026-04-04T14:40:00Z",
            ["2026-04-04T14:45:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:15:00Z", "2026-04-04T15:30:00Z"]
        ),
        (
            "Australia/Lord_Howe", "*/15 * * * *", "2026-10-03T15:10:00Z",
            ["2026-10-03T15:15:00Z", "2026-10-03T15:30:00Z", "2026-10-03T15:45:00Z"]
        ),
        // The days are those of the zone, and all of these changes fall on a last or a numbered Sunday.
        ("Europe/Berlin", "30 2 * * 7L", "2026-03-01T00:00:00Z", ["2026-03-29T01:00:00Z", "2026-04-26T00:30:00Z"]),
        ("Europe/Berlin", "30 2 * 10 sunL", "2026-10-01T00:00:00Z", ["2026-10-25T00:30:00Z", "2027-10-31T00:30:00Z"]),
        ("Europe/Berlin", "30 0 L * *", "2026-03-01T00:00:00Z", ["2026-03-30T22:30:00Z", "2026-04-29T22:30:00Z"]),
        ("America/New_York", "15 2 * * 0#2", "2026-03-01T12:00:00Z", ["2026-03-08T07:00:00Z", "2026-04-12T06:15:00Z"]),
        (
            "America/New_York", "*/30 1 * * 0#1", "2026-11-01T04:45:00Z",
            ["2026-11-01T05:00:00Z", "2026-11-01T05:30:00Z", "2026-12-06T06:00:00Z"]
        ),
        ("America/New_York", "0 22 L 12 *", "2026-12-31T12:00:00Z", ["2027-01-01T03:00:00Z", "2028-01-01T03:00:00Z"]),
        (
            "Australia/Lord_Howe", "15 2 * * 0#1", "2026-10-01T00:00:00Z",
            ["2026-10-03T15:30:00Z", "2026-10-31T15:15:00Z"]
        ),
        // A whole day that Samoa left out: 2011-12-30.
        ("Pacific/Apia", "0 12 * * *", "2011-12-29T23:00:00Z", ["2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"]),
    ]

    @Test(arguments: changes) func firesOnceWhereTheClocksChange(
        zone: String,
        text: String,
        start: String,
        expected: [String]
    ) throws {
        #expect(try fires(text, after: start, in: zone, count: expected.count) == expected)
    }

    @Test(arguments: [
        "", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "a * * * *",
        "5-1 * * * *", "*/0 * * * *", "*/ * * * *", "1,,2 * * * *", "-1 * * * *", "1- * * * *", "? * * * *",
        "L * * * *", "* L * * *", "* * * L *", "* * * 2L *", "0 0 L-2 * *", "0 0 1-L * *", "0 0 L/2 * *", "0 0 l * *",
        "0 0 15L * *", "0 0 L,, * *", "0 0 LW * *", "0 0 15W * *", "0 0 * * L", "0 0 * * L5", "0 0 * * 8L",
        "0 0 * * 15L",
        "0 0 * * 1-5L", "0 0 * * *L", "0 0 * * 5L/2", "0 0 * * 5l", "0 0 * * 5,L", "0 0 5#2 * *", "5#2 * * * *",
        "* * * 5#2 *", "0 0 * * 5#0", "0 0 * * 5#6", "0 0 * * 5#", "0 0 * * #2", "0 0 * * 8#2", "0 0 * * *#2",
        "0 0 * * 5#02", "0 0 * * 5#1#2", "0 0 * * 5#1,5#3", "0 0 * * 1,5#1", "0 0 * * 1-5#1", "0 0 * * 5#1/2",
        "0 0 * * 5L#1", "0 0 * * 5#L", "H * * * *", "0 0 1 1 * 2027 *", "@minutely", "@secondly", "@weekdays",
        "@weekends",
        "@every 5m",
        "22-2 * * * *", "0 0 * * fri-mon",
        "* * * * mon-", "0 0 31 2,4 *", "@reboot", "+5 * * * *", "*/99 * * * *",
    ]) func refusesWhatIsNoSchedule(text: String) {
        #expect(throws: CronFault.self) { try CronExpression(text) }
    }

    @Test func tellsWhereItIsWrong() {
        let fault = #expect(throws: CronFault.self) { try CronExpression("0 0  32 * *") }

        #expect(fault == CronFault(offset: 5, message: "\"32\" is not a day of month from 1 to 31"))
    }

    /// Expression, the offset of the field, what is said of it.
    static let faults: [(String, Int, String)] = [
        ("0 0 * * 5#6", 8, ##""5#6" has no week from 1 to 5 behind its "#" in the day of week"##),
        ("0 0 * * 5#1,5#3", 8, ##""5#1,5#3" has more than one day beside "#" in the day of week"##),
        ("0 0 * * x#1", 8, ##""x#1" has no day of week from 0 to 7 before its "#""##),
        ("0 0 * * L", 8, ##""L" has no day before it in the day of week, as the last Friday, "5L", has"##),
        ("0 0 * * 1,8L", 8, ##""8L" is not the last day of week from 0 to 7"##),
        ("0 0 5#2 * *", 4, ##""5#2" is not a day of month from 1 to 31"##),
        ("0 0 15W * *", 4, ##""15W" is not a day of month from 1 to 31"##),
        ("L 0 * * *", 0, ##""L" is not a minute from 0 to 59"##),
    ]

    @Test(arguments: faults) func namesTheFieldThatMayNotHaveIt(text: String, offset: Int, message: String) {
        let fault = #expect(throws: CronFault.self) { try CronExpression(text) }

        #expect(fault == CronFault(offset: offset, message: message))
    }

    private func fires(_ text: String, after start: String, in zone: String, count: Int) throws -> [String] {
        let cron = try CronExpression(text)
        let zone = try #require(TimeZone(identifier: zone))
        var date = try Date(start, strategy: .iso8601)
        return try (0..<count).map { _ in
            date = try #require(cron.next(after: date, in: zone))
            return date.formatted(.iso8601)
        }
    }
}
