import CHiredis

/// hiredis' incremental reader, fed with bytes as they come.
///
/// Its objects are turned into values at once and freed by their root (which frees the rest), so no C pointer leaves
/// this type. hiredis 0.14 follows arrays at most seven deep; deeper ones are a protocol error.
final class ReplyParser {
    /// What is fed at a time: the reader moves what is left of its buffer after every KiB it consumed.
    private static let slice = 16 << 10

    private let reader: UnsafeMutablePointer<redisReader>

    init() throws(RedisError) {
        guard let reader = redisReaderCreate() else { throw .connection("no memory for a reader") }
        self.reader = reader
    }

    deinit { redisReaderFree(reader) }

    /// Takes bytes in and hands over each answer that is complete.
    ///
    /// - Throws: ``RedisError`` of kind `connection` when the bytes are not RESP; the parser is of no use afterwards.
    func feed(_ bytes: UnsafeRawBufferPointer, _ deliver: (RESPValue) -> Void) throws(RedisError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: rest.prefix(Self.slice))
            rest = rest.dropFirst(Self.slice)
            guard redisReaderFeed(reader, part.bindMemory(to: CChar.self).baseAddress, part.count) == REDIS_OK else {
                throw failure
            }
            while let value = try next() { deliver(value) }
        }
    }

    private func next() throws(RedisError) -> RESPValue? {
        var root: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &root) == REDIS_OK else { throw failure }
        guard let root else { return nil }
        defer { freeReplyObject(root) }
        return Self.value(of: root.assumingMemoryBound(to: redisReply.self).pointee)
    }

    private var failure: RedisError {
        let text = withUnsafeBytes(of: reader.pointee.errstr) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return .connection("the answer is not RESP 2: \(text)")
    }

    private static func value(of reply: redisReply) -> RESPValue {
        switch reply.type {
        case REDIS_REPLY_STATUS, REDIS_REPLY_STRING: text(of: reply)
        case REDIS_REPLY_INTEGER: .integer(reply.integer)
        case REDIS_REPLY_ARRAY: .array(elements(of: reply))
        case REDIS_REPLY_ERROR: .error(String(decoding: bytes(of: reply), as: UTF8.self))
        default: .null
        }
    }

    private static func text(of reply: redisReply) -> RESPValue {
        let bytes = bytes(of: reply)
        return String(validating: bytes, as: UTF8.self).map(RESPValue.string) ?? .bytes(Array(bytes))
    }

    private static func bytes(of reply: redisReply) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: reply.str, count: Int(reply.len))
    }

    private static func elements(of reply: redisReply) -> [RESPValue] {
        // A child is missing only when hiredis had no memory for it.
        UnsafeBufferPointer(start: reply.element, count: reply.elements).map {
            $0.map { value(of: $0.pointee) } ?? .null
        }
    }
}
