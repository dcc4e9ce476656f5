import Foundation
import Functions
import Postgres

extension JSON {
    static var mock: JSON { ["type": "mock", "name": "Web"] }

    static var whatsApp: JSON {
        [
            "type": "whatsapp", "name": "Phone",
            "credentials": [
                "accessToken": "0123456789abcdef", "appSecret": "app secret 0123456789", "verifyToken": "short",
                "phoneNumberId": "106540352242922", "businessAccountId": "102290129340398",
            ],
        ]
    }
}

extension World {
    /// A ticket on the channel with one message that waits to be sent.
    func queueMessage(on channel: String, of caller: Caller) async throws {
        let (org, contact, ticket) = (caller.organisation, UUID(), UUID())
        _ = try await owner.run([
            "INSERT INTO contacts (org_id, id, name) VALUES (\(org), \(contact), 'Kim')",
            "INSERT INTO conversations (org_id, channel_id, contact_id) VALUES (\(org), \(channel)::uuid, \(contact))",
            """
            INSERT INTO tickets (org_id, id, number, channel_id, contact_id)
            VALUES (\(org), \(ticket), 1, \(channel)::uuid, \(contact))
            """,
            """
            INSERT INTO messages (org_id, channel_id, contact_id, ticket_id, direction, author_type, text, status)
            VALUES (\(org), \(channel)::uuid, \(contact), \(ticket), 'outbound', 'user', 'Hello', 'queued')
            """,
        ])
    }
}
