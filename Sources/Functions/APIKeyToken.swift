package import Foundation
import Security

/// The text of an API key.
///
/// It says which key of which organisation it is and in which role, so that a request is checked where its first statement
/// enters the organisation, in the same round trip. All of it is covered by the digest that is stored, so nobody gains by
/// changing a part.
package struct APIKeyToken: Sendable, Equatable {
    /// What every key begins with, so that people and scanners recognise one.
    package static let mark = "dck_"
    private static let secretLength = 32

    package let text: String
    package let id: UUID
    package let organisation: Tenant.ID
    package let role: Principal.Role

    /// A new key.
    package init(organisation: Tenant.ID, role: Principal.Role) {
        id = UUID.v7()
        self.organisation = organisation
        self.role = role
        let bytes =
            randomBytes(Self.secretLength) + Self.bytes(of: id) + Self.bytes(of: organisation.uuid) + [role.byte]
        text = Self.mark + Base64.url.encode(bytes)
    }

    /// What a caller's text says, or `nil` where it is no key's. Whether it was ever given out, only the database knows.
    package init?(_ text: some StringProtocol) {
        guard text.hasPrefix(Self.mark), let bytes = Base64.url.decode(text.dropFirst(Self.mark.count).description),
            bytes.count == Self.secretLength + 16 + 16 + 1,
            let role = Principal.Role.allCases.first(where: { $0.byte == bytes.last })
        else { return nil }
        self.text = String(text)
        self.role = role
        id = Self.uuid(bytes[Self.secretLength..<(Self.secretLength + 16)])
        organisation = Tenant.ID(Self.uuid(bytes[(Self.secretLength + 16)..<(Self.secretLength + 32)]))
    }

    /// What is stored of it.
    package var hash: [UInt8] { Token.digest(text) }

    /// What is shown of it later: 48 of the secret's 256 bits.
    package var prefix: String { String(text.prefix(Self.mark.count + 8)) }

    private static func bytes(of id: UUID) -> [UInt8] { withUnsafeBytes(of: id.uuid) { Array($0) } }

    private static func uuid(_ bytes: ArraySlice<UInt8>) -> UUID {
        var uuid = UUID().uuid
        withUnsafeMutableBytes(of: &uuid) { $0.copyBytes(from: bytes) }
        return UUID(uuid: uuid)
    }
}

extension Principal.Role {
    fileprivate var byte: UInt8 {
        switch self {
        case .admin: 1
        case .agent: 2
        }
    }
}
