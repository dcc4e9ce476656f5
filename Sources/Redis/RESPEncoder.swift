import NIOCore

extension ByteBuffer {
    /// Appends a command as an array of bulk strings, the only form clients send.
    mutating func writeCommand(_ arguments: [RedisArgument]) {
        writeLength(UInt8(ascii: "*"), arguments.count)
        for argument in arguments { writeArgument(argument) }
    }

    private mutating func writeArgument(_ argument: RedisArgument) {
        switch argument {
        case .string(let text):
            writeLength(UInt8(ascii: "$"), text.utf8.count)
            writeString(text)
        case .bytes(let bytes):
            writeLength(UInt8(ascii: "$"), bytes.count)
            writeBytes(bytes)
        case .integer(let number):
            let text = String(number)
            writeLength(UInt8(ascii: "$"), text.utf8.count)
            writeString(text)
        }
        writeInteger(0x0D0A, as: UInt16.self)
    }

    /// Appends a type's mark, a count and the end of the line.
    private mutating func writeLength(_ mark: UInt8, _ count: Int) {
        writeInteger(mark)
        if count < 10 {
            writeInteger(UInt8(ascii: "0") + UInt8(count))
        } else {
            writeString(String(count))
        }
        writeInteger(0x0D0A, as: UInt16.self)
    }
}

extension RedisArgument {
    /// About how many bytes the argument takes up on the wire.
    var size: Int {
        switch self {
        case .string(let text): text.utf8.count + 16
        case .bytes(let bytes): bytes.count + 16
        case .integer: 32
        }
    }
}
