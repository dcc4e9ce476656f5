/// Somebody's address, with a name for people.
package struct Mailbox: Sendable, Equatable {
    package let name: String?
    package let address: String

    /// - Throws: ``MailboxError`` for an address that could be mistaken for anything else in a header or a command.
    package init(name: String? = nil, address: String) throws(MailboxError) {
        let parts = address.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }), address.utf8.count <= 254,
            address.unicodeScalars.allSatisfy({ scalar in
                scalar.value > 0x20 && !scalar.properties.isWhitespace && scalar.properties.generalCategory != .control
                    && !"<>(),;:\\\"[]".unicodeScalars.contains(scalar)
            })
        else { throw MailboxError() }
        self.name = name
        self.address = address
    }

    /// Reads `jane@example.com` or `Jane Doe <jane@example.com>`.
    package init(parsing text: String) throws(MailboxError) {
        let text = text.trimmed
        guard text.hasSuffix(">"), let open = text.lastIndex(of: "<") else {
            try self.init(address: text)
            return
        }
        var name = String(text[..<open]).trimmed
        if name.count >= 2, name.hasPrefix("\""), name.hasSuffix("\"") { name = String(name.dropFirst().dropLast()) }
        let address = String(text[text.index(after: open)...].dropLast())
        try self.init(name: name.isEmpty ? nil : name, address: address)
    }

    /// What comes after the `@`.
    package var domain: String { String(address.drop { $0 != "@" }.dropFirst()) }

    /// Whether every server takes it; another address needs SMTPUTF8 (RFC 6531).
    var isASCII: Bool { address.utf8.allSatisfy { $0 < 0x80 } }
}

package struct MailboxError: Error, Equatable, CustomStringConvertible {
    package var description: String { "it is not an e-mail address" }
}

extension String {
    fileprivate var trimmed: String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
