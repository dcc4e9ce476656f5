import Foundation
import JSON
package import Postgres
import Security

/// One page of a list: how many rows, and after which.
package struct PageRequest: Sendable {
    package let limit: Int
    /// The sort keys of the last row that was shown, as PostgreSQL prints them; `nil` for the first page.
    package let after: [String]?
    private let scope: [UInt8]
    private let key: [UInt8]

    /// - Parameters:
    ///   - limit: how many rows, 25 unless told.
    ///   - cursor: the caller's, of the page before.
    ///   - scope: what a cursor is good for: organisation, list, filters and sort. One made elsewhere is refused.
    ///   - key: signs cursors, so that nobody pages through what they make up.
    /// - Throws: ``Failure/invalid(parameter:_:)`` for a cursor that wasn't made for this list.
    package init(limit: Int?, cursor: String?, scope: String, key: [UInt8]) throws(Failure) {
        self.limit = limit ?? 25
        self.scope = Array(scope.utf8)
        self.key = key
        guard let cursor else {
            after = nil
            return
        }
        guard let bytes = Base64.url.decode(cursor), bytes.count > Self.signatureLength else {
            throw Failure.invalid(parameter: "cursor", "is not a cursor of this list")
        }
        let payload = Array(bytes.dropFirst(Self.signatureLength))
        let expected = Self.signature(payload, scope: self.scope, key: key)
        guard constantTimeEquals(Array(bytes.prefix(Self.signatureLength)), expected),
            let keys = try? JSON.parse(payload).array?.compactMap(\.string)  // signed by us, so it parses
        else { throw Failure.invalid(parameter: "cursor", "is not a cursor of this list") }
        after = keys
    }

    /// The cursor of the page after `rows`, or `nil` when they are the last.
    package func next(after rows: PostgresRows, keys: [String]) throws -> String? {
        guard rows.count > limit else { return nil }
        let last = rows[rows.startIndex + limit - 1]
        let values = try keys.map { JSON.string(try last.get($0, as: String.self)) }
        let payload = Array(JSON.array(values).text.utf8)
        return Base64.url.encode(Self.signature(payload, scope: scope, key: key) + payload)
    }

    private static let signatureLength = 16

    private static func signature(_ payload: [UInt8], scope: [UInt8], key: [UInt8]) -> [UInt8] {
        Array(HMAC.sha256(key: key, message: scope + [0] + payload).prefix(signatureLength))
    }
}

extension Field {
    /// `limit` and `cursor` of a list.
    package static var paging: [Field] {
        [
            .optional("limit", .integer(1...100), doc: "how many, 25 unless told", example: 25),
            .optional("cursor", .text(1...2048, .opaque), doc: "`nextCursor` of the page before", example: "…"),
        ]
    }
}
