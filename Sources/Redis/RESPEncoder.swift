import NIOCore

extension ByteBuffer {
    /// Appends a command as an array of bulk strings, the only form clients send.
    ///
    /// The whole command is written through one pointer: checking for room at each piece cost more than the rest.
    mutating func writeCommand(_ arguments: [RedisArgument]) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: arguments.wireSize) { bytes in
            var writer = RESPWriter(bytes: bytes)
            writer.writeLine(UInt8(ascii: "*"), arguments.count)
            for argument in arguments { writer.write(argument) }
            return writer.count
        }
    }
}

extension RedisArgument {
    /// The most bytes that frame one word: a mark, 20 digits and two ends of lines.
    fileprivate static let frame = 25

    /// The most bytes the word takes up on the wire.
    fileprivate var wireSize: Int {
        switch self {
        case .string(let text): text.utf8.count + Self.frame
        case .bytes(let bytes): bytes.count + Self.frame
        case .integer: 20 + Self.frame
        }
    }
}

extension [RedisArgument] {
    /// The most bytes the command takes up on the wire.
    var wireSize: Int { reduce(RedisArgument.frame) { $0 + $1.wireSize } }
}

/// Writes into memory that has room for all of it: the buffer pointers it copies into trap otherwise.
private struct RESPWriter {
    let bytes: UnsafeMutableRawBufferPointer
    var count = 0

    mutating func write(_ argument: RedisArgument) {
        switch argument {
        case .string(var text): text.withUTF8 { writeBulk(UnsafeRawBufferPointer($0)) }
        case .bytes(let bytes): bytes.withUnsafeBytes { writeBulk($0) }
        case .integer(let number):
            withDigits(of: number) { writeBulk($0) }
        }
    }

    /// Appends a type's mark, a count and the end of the line.
    mutating func writeLine(_ mark: UInt8, _ number: Int) {
        append(mark)
        if number < 10 {
            append(UInt8(ascii: "0") + UInt8(number))
        } else {
            withDigits(of: Int64(number)) { append($0) }
        }
        endLine()
    }

    private mutating func writeBulk(_ content: UnsafeRawBufferPointer) {
        writeLine(UInt8(ascii: "$"), content.count)
        append(content)
        endLine()
    }

    private mutating func append(_ byte: UInt8) {
        bytes[count] = byte
        count += 1
    }

    private mutating func append(_ content: UnsafeRawBufferPointer) {
        UnsafeMutableRawBufferPointer(rebasing: bytes[count...]).copyMemory(from: content)
        count += content.count
    }

    private mutating func endLine() {
        append(UInt8(ascii: "\r"))
        append(UInt8(ascii: "\n"))
    }

    private func withDigits(of number: Int64, _ body: (UnsafeRawBufferPointer) -> Void) {
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
            var start = digits.count
            var rest = number.magnitude
            repeat {
                start -= 1
                digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            if number < 0 {
                start -= 1
                digits[start] = UInt8(ascii: "-")
            }
            body(UnsafeRawBufferPointer(rebasing: digits[start...]))
        }
    }
}
