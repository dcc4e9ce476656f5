import Foundation
import Testing

@testable import Postgres

@Suite(.serialized) struct PostgresTypesTests {
    /// Sends the value and reads it back.
    private func roundTrip<T: PostgresEncodable & PostgresDecodable>(_ value: T, _ type: SQL) async throws -> T {
        try await World.with { postgres in
            try await postgres.query("SELECT \(value)::\(raw: type) AS value")[0].get("value")
        }
    }

    @Test(arguments: ["", "plain", "O'Brien \"quoted\" \\ {x,y}", "grüße 👋🏽 漢字", "$1; DROP TABLE t", "a\nb", "NULL"])
    func carriesText(_ text: String) async throws {
        #expect(try await roundTrip(text, "text") == text)
    }

    @Test(arguments: [0, 1, -1, Int.max, Int.min])
    func carriesIntegers(_ number: Int) async throws {
        #expect(try await roundTrip(number, "bigint") == number)
    }

    @Test func carriesNumbersOfOtherWidths() async throws {
        #expect(try await roundTrip(Int32.min, "int") == Int32.min)
        #expect(try await roundTrip(Int16.max, "smallint") == Int16.max)
        #expect(try await roundTrip(Int64.max, "bigint") == Int64.max)
        #expect(try await roundTrip(true, "boolean") == true)
        #expect(try await roundTrip(false, "boolean") == false)
    }

    @Test(arguments: [0, 0.1, -1e300, 2.2250738585072014e-308, .infinity, -.infinity, 1.7976931348623157e308])
    func carriesDoublesExactly(_ number: Double) async throws {
        #expect(try await roundTrip(number, "float8") == number)
    }

    @Test func carriesNotANumber() async throws {
        #expect(try await roundTrip(Double.nan, "float8").isNaN)
    }

    @Test func carriesIdentifiersAndBytes() async throws {
        let id = UUID()
        let bytes = (0...255).map { UInt8($0) }

        #expect(try await roundTrip(id, "uuid") == id)
        #expect(try await roundTrip(bytes, "bytea") == bytes)
        #expect(try await roundTrip([UInt8](), "bytea") == [])
    }

    @Test(arguments: [0, 1_700_000_000.123456, 951_782_400, -1.5, -62_135_596_800, -63_000_000_000, 32_503_680_000])
    func carriesPointsInTime(_ seconds: Double) async throws {
        let date = Date(timeIntervalSince1970: seconds)

        let back = try await roundTrip(date, "timestamptz")

        #expect(abs(back.timeIntervalSince(date)) < 0.000_002)
    }

    @Test func readsTimeAsTheServerDoes() async throws {
        try await World.with { postgres in
            let row = try await postgres.query(
                """
                SELECT '2026-02-28 23:59:59.5+05:30'::timestamptz AS at, date '2024-02-29' AS day,
                       extract(epoch FROM '2026-02-28 23:59:59.5+05:30'::timestamptz)::float8 AS epoch,
                       'infinity'::timestamptz AS never
                """
            )[0]

            #expect(try row.get("at", as: Date.self).timeIntervalSince1970 == row.get("epoch"))
            #expect(try row.get("day", as: Date.self) == Date(timeIntervalSince1970: 1_709_164_800))
            #expect(try row.get("never", as: Date.self) == Date.distantFuture)
        }
    }

    @Test func carriesArrays() async throws {
        let texts: [String?] = ["a,b", "\"q\"", "\\", "", "NULL", nil, "{}", "ü 👋", " "]
        let ids = [UUID(), UUID()]
        let bytes: [[UInt8]] = [[], [0, 255, 92, 34], [65]]
        let dates = [Date(timeIntervalSince1970: 1), Date(timeIntervalSince1970: 2.5)]

        #expect(try await roundTrip(texts, "text[]") == texts)
        #expect(try await roundTrip([String](), "text[]") == [])
        #expect(try await roundTrip(ids, "uuid[]") == ids)
        #expect(try await roundTrip([1, -2, Int.max], "bigint[]") == [1, -2, Int.max])
        #expect(try await roundTrip([Int64(7)], "bigint[]") == [7])
        #expect(try await roundTrip([true, false], "boolean[]") == [true, false])
        #expect(try await roundTrip(bytes, "bytea[]") == bytes)
        #expect(try await roundTrip(dates, "timestamptz[]") == dates)
        #expect(try await roundTrip([Optional(1), nil], "int[]") == [1, nil])
    }

    @Test func bindsNull() async throws {
        try await World.with { postgres in
            let nobody: UUID? = nil

            let row = try await postgres.query("SELECT \(nobody)::uuid AS id, '' AS empty")[0]

            #expect(try row.optional("id", as: UUID.self) == nil)
            #expect(try row.get("id", as: UUID?.self) == nil)
            #expect(try row.get("empty", as: String.self) == "")
            #expect(try row.optional("empty", as: String.self) == "")
        }
    }

    @Test func namesTheColumnItCannotRead() async throws {
        try await World.with { postgres in
            let row = try await postgres.query("SELECT NULL::int AS nothing, 'x' AS word, NULL::text[] AS list")[0]

            let null = await failure { try row.get("nothing", as: Int.self) }
            let type = await failure { try row.get("word", as: Int.self) }
            let absent = await failure { try row.get("gone", as: Int.self) }

            #expect(null?.kind == .decoding && null?.column == "nothing")
            #expect(type?.kind == .decoding && type?.column == "word")
            #expect(absent?.kind == .decoding && absent?.column == "gone")
        }
    }

    @Test(arguments: ["{", "{a", "a}", "{\"a}", "{{a}}", "{a,}", "x"])
    func refusesAMalformedArray(_ text: String) {
        let array = text.withCString {
            [String](postgresText: UnsafeRawBufferPointer(start: $0, count: text.utf8.count))
        }

        #expect(array == nil)
    }

    @Test(arguments: ["", "2026", "2026-13-01", "2026-01-01 10", "2026-01-01 10:00:00+00 AD", "yesterday"])
    func refusesAMalformedTime(_ text: String) {
        let date = text.withCString { Date(postgresText: UnsafeRawBufferPointer(start: $0, count: text.utf8.count)) }

        #expect(date == nil)
    }

    @Test func refusesTheCharacterNul() async throws {
        try await World.with { postgres in
            let error = await failure { try await postgres.query("SELECT \("a\0b")::text") }

            #expect(error?.sqlState == "22021")
        }
    }
}
