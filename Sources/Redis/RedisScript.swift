/// A Lua script, sent by its digest and with its source only when Redis does not know it yet.
package struct RedisScript: Sendable {
    /// For people: logs and errors.
    package let name: String
    package let source: String
    /// The digest Redis files the script under: 40 lower case hexadecimal digits.
    package let sha1: String

    /// Digests the source, so keep the value (`static let`) rather than make it for each call.
    package init(name: String, source: String) {
        self.name = name
        self.source = source
        sha1 = SHA1.hex(of: source.utf8)
    }
}
