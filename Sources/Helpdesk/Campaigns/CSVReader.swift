/// Reads CSV (RFC 4180, UTF-8 with or without a byte order mark) piece by piece: quotes, either line end, and lines without anything
/// left out.
struct CSVReader: Sendable {
    enum Record: Sendable, Equatable {
        case fields([String])
        /// It can't be read; a sentence about it.
        case malformed(String)
    }

    /// Bytes of one record; the rest of a longer one is passed over.
    static let longest = 64 << 10

    private enum State: Sendable {
        case fieldStart, plain, quoted
        /// A quote inside a quoted field: its end, or the first of two.
        case quote
    }

    private var state = State.fieldStart
    private var field: [UInt8] = []
    private var fields: [String] = []
    private var size = 0
    private var fault: String?
    private var hasQuotes = false
    /// How much of a byte order mark has been seen; `nil` once it may not come any more.
    private var mark: Int? = 0

    mutating func read(_ bytes: [UInt8], _ take: (Record) throws -> Void) throws {
        for byte in bytes {
            if let seen = mark {
                if byte == [0xEF, 0xBB, 0xBF][seen] {
                    mark = seen == 2 ? nil : seen + 1
                    continue
                }
                // A text that begins with part of a mark is no UTF-8 anyway.
                mark = nil
            }
            try step(byte, take)
        }
    }

    /// The last record, where no line end follows it.
    mutating func finish(_ take: (Record) throws -> Void) throws {
        if case .quoted = state { fault = fault ?? "has a quote that isn't closed" }
        if size > 0 || !fields.isEmpty || fault != nil { try end(take) }
    }

    private mutating func step(_ byte: UInt8, _ take: (Record) throws -> Void) throws {
        switch (state, byte) {
        case (.fieldStart, UInt8(ascii: "\"")):
            state = .quoted
            hasQuotes = true
            size += 1
        case (.fieldStart, UInt8(ascii: ",")), (.plain, UInt8(ascii: ",")), (.quote, UInt8(ascii: ",")):
            size += 1
            endField()
            state = .fieldStart
        case (.fieldStart, 0x0A), (.plain, 0x0A), (.quote, 0x0A): try end(take)
        // Before a line feed; elsewhere it is dropped as well.
        case (.fieldStart, 0x0D), (.plain, 0x0D), (.quote, 0x0D): break
        case (.fieldStart, _), (.plain, _):
            state = .plain
            append(byte)
        case (.quoted, UInt8(ascii: "\"")): state = .quote
        case (.quoted, _): append(byte)
        case (.quote, UInt8(ascii: "\"")):
            state = .quoted
            append(byte)
        case (.quote, _):
            fault = fault ?? "has text behind a closing quote"
            state = .plain
            append(byte)
        }
    }

    private mutating func append(_ byte: UInt8) {
        size += 1
        if size <= Self.longest { field.append(byte) }
    }

    private mutating func endField() {
        if let text = String(validating: field, as: UTF8.self) {
            fields.append(text)
        } else {
            fault = fault ?? "is not UTF-8"
        }
        field.removeAll(keepingCapacity: true)
    }

    private mutating func end(_ take: (Record) throws -> Void) throws {
        defer {
            state = .fieldStart
            fields.removeAll(keepingCapacity: true)
            field.removeAll(keepingCapacity: true)
            size = 0
            fault = nil
            hasQuotes = false
        }
        guard size > 0 else { return }
        endField()
        if size > Self.longest { fault = "is longer than \(Self.longest) bytes" }
        try take(fault.map(Record.malformed) ?? .fields(fields))
    }
}

/// Cuts a text into lines piece by piece; those without anything are left out.
struct LineReader: Sendable {
    /// Bytes of one line; a longer one is given as `nil`.
    static let longest = 64 << 10

    private var line: [UInt8] = []
    private var isTooLong = false

    mutating func read(_ bytes: [UInt8], _ take: (ArraySlice<UInt8>?) throws -> Void) throws {
        var rest = bytes[...]
        while let end = rest.firstIndex(of: 0x0A) {
            append(rest[..<end])
            try give(take)
            rest = rest[(end + 1)...]
        }
        append(rest)
    }

    /// The last line, where no line end follows it.
    mutating func finish(_ take: (ArraySlice<UInt8>?) throws -> Void) throws { try give(take) }

    private mutating func append(_ part: ArraySlice<UInt8>) {
        if line.count + part.count > Self.longest {
            isTooLong = true
            line.removeAll(keepingCapacity: true)
        } else if !isTooLong {
            line.append(contentsOf: part)
        }
    }

    private mutating func give(_ take: (ArraySlice<UInt8>?) throws -> Void) throws {
        defer {
            line.removeAll(keepingCapacity: true)
            isTooLong = false
        }
        if isTooLong { return try take(nil) }
        guard line.contains(where: { $0 != 0x20 && $0 != 0x0D && $0 != 0x09 }) else { return }
        try take(line[...])
    }
}
