/// One word of a command; literals and interpolations are strings or integers as written.
package enum RedisArgument: Sendable, Equatable {
    case string(String)
    case integer(Int64)
    case bytes([UInt8])
}

extension RedisArgument: ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral {
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
}
