package import JSON
package import Postgres

/// What a function answers with, ready to be sent.
package struct Answer: Sendable {
    package var status: Int
    package var contentType: String?
    package var body: [UInt8]
    package var headers: [(name: String, value: String)]
    /// Comes after `body` and is sent piece by piece, for as long as it lasts.
    package var stream: (any AnswerStream)?

    package init(
        status: Int,
        contentType: String? = "application/json",
        body: [UInt8] = [],
        headers: [(name: String, value: String)] = [],
        stream: (any AnswerStream)? = nil
    ) {
        self.stream = stream
        self.status = status
        self.contentType = contentType
        self.body = body
        self.headers = headers
    }

    /// 204.
    package static var nothing: Answer { Answer(status: 204, contentType: nil) }

    /// A JSON object whose members `write` adds.
    package static func object(status: Int = 200, _ members: (inout JSONWriter) throws -> Void) rethrows -> Answer {
        var writer = JSONWriter(capacity: 1024)
        try writer.object(members)
        return Answer(status: status, body: writer.bytes)
    }

    /// The first row as an object.
    package static func row(_ rows: PostgresRows, _ record: Record, status: Int = 200) -> Answer {
        var writer = JSONWriter(capacity: 1024)
        record.write(rows, row: 0, into: &writer)
        return Answer(status: status, body: writer.bytes)
    }

    /// `{"data": [...], "nextCursor": …}` of at most `page.limit` rows.
    ///
    /// The statement asks for one row more than the limit: where it comes there is a next page, which starts after the
    /// last row that is shown. `keys` are the columns of the sort, in its order.
    package static func page(_ rows: PostgresRows, _ record: Record, _ page: PageRequest, keys: [String]) throws
        -> Answer
    {
        try self.page(rows, page, keys: keys) { rows, row, writer in record.write(rows, row: row, into: &writer) }
    }

    /// A page whose rows `write` turns into JSON.
    package static func page(
        _ rows: PostgresRows,
        _ page: PageRequest,
        keys: [String],
        write: (PostgresRows, Int, inout JSONWriter) throws -> Void
    ) throws -> Answer {
        var writer = JSONWriter(capacity: 512 * (rows.count + 1))
        try writer.object {
            $0.name("data")
            try $0.array { for row in 0..<min(rows.count, page.limit) { try write(rows, row, &$0) } }
            $0.member("nextCursor", try page.next(after: rows, keys: keys))
        }
        return Answer(status: 200, body: writer.bytes)
    }
}

/// A body whose end isn't known when its answer begins; for functions with `timeout: none`.
///
/// The host asks for the next piece once the one before is on its way, so a slow reader slows nobody but itself; one piece
/// may take as long as the function's `idle_timeout`, then the connection is dropped.
package protocol AnswerStream: Sendable {
    /// Waits for the next piece; `nil` is the end of the body.
    func next() async throws -> [UInt8]?
    /// Nothing more is wanted: the caller has gone or the process ends. What waits for the next piece gets `nil`.
    func end()
}

/// How an answer is described.
package enum OutputDeclaration: Sendable {
    /// 204.
    case none
    case object(Record, status: Int)
    case page(of: Record)
    /// Server-sent events with such `data`. Their token may come as `?access_token=`, since browsers can send no header.
    case events(Record)
    /// A file of one of these content types: whole, a part of it, nothing to who has it (304), or (302) where it lies. Until it
    /// is there: 409; a part that it hasn't: 416.
    case file(types: [String])
    /// Anything else, with its content type.
    case other(contentType: String, status: Int = 200)

    /// An object with status 200.
    package static func object(_ record: Record) -> OutputDeclaration { .object(record, status: 200) }
}
