import Testing

@testable import Redis

@Suite struct ReplyParserTests {
    private func values(of text: String, piece: Int = .max) throws -> [RESPValue] {
        let parser = try ReplyParser()
        var values: [RESPValue] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            try Array(rest.prefix(piece)).withUnsafeBytes { try parser.feed($0) { values.append($0) } }
            rest = rest.dropFirst(piece)
        }
        return values
    }

    @Test(arguments: [1, 2, 7, Int.max])
    func readsEveryTypeHoweverTheBytesArrive(piece: Int) throws {
        let text = "+OK\r\n-ERR no\r\n:-12\r\n$-1\r\n$0\r\n\r\n*-1\r\n*3\r\n$2\r\nhé\r\n*1\r\n:1\r\n-x\r\n*0\r\n"
            .replacing("$2\r\nhé", with: "$3\r\nhé")

        let values = try values(of: text, piece: piece)

        #expect(
            values == [
                .string("OK"), .error("ERR no"), .integer(-12), .null, .string(""), .null,
                .array([.string("hé"), .array([.integer(1)]), .error("x")]), .array([]),
            ]
        )
    }

    @Test func readsManyAnswersOfOneFeed() throws {
        let values = try values(of: (0..<100_000).map { ":\($0)\r\n" }.joined())

        #expect(values == (0..<100_000).map { .integer($0) })
    }

    @Test func refusesWhatIsNotRESP() throws {
        #expect(throws: RedisError.self) { try values(of: "HTTP/1.1 400 Bad Request\r\n") }
    }
}
