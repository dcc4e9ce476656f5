package import Foundation
package import JSON
import Postgres
import Security

/// The id of one kind of thing: a UUID that can't be mistaken for another kind's.
///
/// Made as UUIDv7, so that ids rise with time and indexes grow at their end; printed in lower case.
package struct Identifier<Subject>: Hashable, Sendable, Codable, PostgresEncodable, PostgresDecodable,
    CustomStringConvertible
{
    package let uuid: UUID

    package init(_ uuid: UUID) {
        self.uuid = uuid
    }

    /// A fresh id, greater than every one that this process made before.
    package init() {
        uuid = UUID.v7()
    }

    /// The id that `text` spells in any case, or `nil`.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count == 36, let uuid = UUID(uuidString: String(text)) else { return nil }
        self.uuid = uuid
    }

    package init?(postgresText: UnsafeRawBufferPointer) {
        guard let uuid = UUID(postgresText: postgresText) else { return nil }
        self.uuid = uuid
    }

    package var postgresText: String? { description }

    package var description: String { uuid.uuidString.lowercased() }

    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let id = Self(text) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "is not a UUID"))
        }
        self = id
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
extension JSONWriter {
    package mutating func member<Subject>(_ name: String, _ value: Identifier<Subject>?) {
        member(name, value?.description)
    }
}
