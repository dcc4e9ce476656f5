import Foundation
import Functions
import Postgres
import Security

@testable import Helpdesk

extension World {
    func invite(_ email: String, role: String = "agent", as caller: Caller) async throws -> Reply {
        try await call("create-invite", as: caller, body: ["email": .string(email), "role": .string(role)])
    }

    func accept(_ token: String, name: String = "Joe Bloggs", password: String = World.password) async throws -> Reply {
        try await call(
            "accept-invite",
            body: ["token": .string(token), "name": .string(name), "password": .string(password)]
        )
    }

    /// The token at the end of a link.
    func token(_ url: String) -> String { String(url.split(separator: "token=").last ?? "") }

    func update(_ user: UUID, _ members: JSON, as caller: Caller) async throws -> Reply {
        try await call("update-user", as: caller, path: ["userId": user.uuidString], body: members)
    }

    func deactivate(_ user: UUID, as caller: Caller) async throws -> Reply {
        try await call("deactivate-user", as: caller, path: ["userId": user.uuidString])
    }

    func reactivate(_ user: UUID, as caller: Caller) async throws -> Reply {
        try await call("reactivate-user", as: caller, path: ["userId": user.uuidString])
    }

    /// Another admin of an admin's organisation, logged in.
    func admin(of admin: Caller) async throws -> Caller {
        let agent = try await agent(of: admin)
        _ = try await owner.query("UPDATE users SET role = 'admin' WHERE id = \(agent.user)")
        return try caller(try await logIn(agent.email), email: agent.email)
    }

    /// The mails that wait, in the order in which they were written, opened.
    func mails(to recipient: String) async throws -> [(subject: String, text: String)] {
        let rows = try await owner.query(
            "SELECT id, content FROM mails WHERE recipient = \(recipient) AND status = 'queued' ORDER BY created_at, id"
        )
        return try rows.map { row in
            let sealed = try row.get("content", as: [UInt8].self)
            let id = try row.get("id", as: StoredMail.ID.self)
            let content = try JSON.parse(services.sealed.open(sealed, for: StoredMail.sealContext(id)))
            return (content["subject"]?.string ?? "", content["text"]?.string ?? "")
        }
    }

    /// The link in the newest mail to somebody.
    func mailedLink(to recipient: String) async throws -> String? {
        try await mails(to: recipient).last?.text.split { $0.isWhitespace }.last { $0.contains("token=") }.map(
            String.init
        )
    }

    /// The newest audit entry of an action: its changes, as they are stored.
    func changes(_ action: String, of organisation: Tenant.ID) async throws -> JSON? {
        let texts = try await column(
            """
            SELECT changes::text FROM audit
             WHERE org_id = \(organisation) AND action = \(action)
             ORDER BY created_at DESC, id DESC
            """
        )
        return try texts.first?.map { try JSON.parse($0) }
    }
}
