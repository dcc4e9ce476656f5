import Fleet
import Foundation
import Postgres
import Schema
import Security

/// The demo organisation's log-in, whose random password is kept under .runner/.
struct DemoAccount: Sendable {
    struct Account: Codable, Sendable {
        let email: String
        let password: String
        let organisation: String
        let channel: String?
    }

    private let path: String

    init(state: StateFolder) {
        path = state.path + "/demo.json"
    }

    init(root: String) {
        self.init(state: StateFolder(root: root))
    }

    /// What an earlier seeding left, or `nil`.
    var stored: Account? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        return try? JSONDecoder().decode(Account.self, from: data)  // unreadable: as good as absent
    }

    /// Seeds where there is no demo organisation yet; lines to show.
    func seed(_ addresses: Addresses) async throws -> [String] {
        let account = try await seed(ownerURL: addresses.databaseOwner)
        return account == nil ? [] : ["made the demo organisation"]
    }

    /// - Returns: the new account, or `nil` where the demo organisation is there already.
    func seed(ownerURL: String) async throws -> Account? {
        let password = Token.random(bytes: 12)
        let hash = try await PasswordHasher().hash(password)
        let seeded = try await Owner.connected(ownerURL) { try await DemoData.seed($0, passwordHash: hash) }
        guard let seeded else { return nil }
        let account = Account(
            email: DemoData.adminEmail,
            password: password,
            organisation: seeded.organisationId.uuidString.lowercased(),
            channel: seeded.channelId.uuidString.lowercased()
        )
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent,
            withIntermediateDirectories: true
        )
        try JSONEncoder().encode(account).write(to: URL(fileURLWithPath: path), options: .atomic)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        return account
    }
}
