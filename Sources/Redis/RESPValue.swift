/// An answer of Redis (RESP 2).
package enum RESPValue: Sendable, Equatable {
    /// A status such as `OK`, or a bulk string that is valid UTF-8.
    case string(String)
    /// A bulk string that is not valid UTF-8.
    case bytes([UInt8])
    case integer(Int64)
    case array([RESPValue])
    case null
    /// An error inside an array (`EXEC`, a script's table); an error that is the whole answer is thrown instead.
    case error(String)

    package var string: String? {
        guard case .string(let value) = self else { return nil }
        return value
    }

    /// The bytes of a bulk string, whether or not they happen to be UTF-8.
    package var bytes: [UInt8]? {
        switch self {
        case .string(let value): Array(value.utf8)
        case .bytes(let value): value
        default: nil
        }
    }

    package var integer: Int64? {
        guard case .integer(let value) = self else { return nil }
        return value
    }

    package var array: [RESPValue]? {
        guard case .array(let values) = self else { return nil }
        return values
    }

    package var isNull: Bool { self == .null }
}
