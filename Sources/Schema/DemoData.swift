package import Foundation
package import Postgres
import Security

/// An organisation to look at: an admin, an agent, a mock channel, and a few customers who wrote.
package enum DemoData {
    /// Where the admin logs in.
    package static let adminEmail = "demo@delightchat.local"
    package static let agentEmail = "agent@delightchat.local"

    /// What was made.
    package struct Summary: Sendable, Equatable {
        package let organisationId: UUID
        package let adminId: UUID
        package let agentId: UUID
        package let channelId: UUID
        /// By number, from 1.
        package let ticketIds: [UUID]
    }

    /// Makes the demo organisation, or nothing when its admin's address is taken: then the answer is `nil`.
    ///
    /// `postgres` is the application's or the owner's, and its schema current; `passwordHash` is of the password with
    /// which both the admin and the agent log in.
    package static func seed(_ postgres: Postgres, passwordHash: String) async throws -> Summary? {
        let known = try await postgres.query("SELECT user_id FROM find_login(\(adminEmail))")
        guard known.isEmpty else { return nil }
        let world = World(org: .v7(), admin: .v7(), agent: .v7(), channel: .v7())
        let stories = Story.all.map { Story.Told(story: $0, contact: .v7(), ticket: .v7()) }
        do {
            return try await postgres.transaction(opening: ["SELECT enter_organisation(\(world.org))"]) { connection in
                _ = try await connection.run(world.statements(passwordHash: passwordHash))
                for story in stories {
                    _ = try await connection.run(story.statements(in: world))
                }
                return Summary(
                    organisationId: world.org,
                    adminId: world.admin,
                    agentId: world.agent,
                    channelId: world.channel,
                    ticketIds: stories.map(\.ticket)
                )
            }
        } catch let error as PostgresError where error.constraint == "email_directory_pkey" {
            return nil  // Another process has just made it.
        }
    }
}

private struct World {
    let org: UUID
    let admin: UUID
    let agent: UUID
    let channel: UUID

    func statements(passwordHash: String) -> [SQL] {
        [
            "INSERT INTO organisations (id, name, slug) VALUES (\(org), 'Demo', 'demo')",
            """
            INSERT INTO users (org_id, id, email, name, role, password_hash)
            VALUES (\(org), \(admin), \(DemoData.adminEmail), 'Dana Admin', 'admin', \(passwordHash)),
                   (\(org), \(agent), \(DemoData.agentEmail), 'Alex Agent', 'agent', \(passwordHash))
            """,
            "INSERT INTO channels (org_id, id, type, name) VALUES (\(org), \(channel), 'mock', 'Mock channel')",
        ]
    }
}

/// One customer, one ticket.
private struct Story {
    struct Line {
        let isInbound: Bool
        let text: String
    }

    let name: String
    let phone: String
    let subject: String?
    let status: String
    let priority: Int
    let tags: [String]
    let isAssigned: Bool
    /// The age of the first line; the others follow five minutes apart.
    let minutesAgo: Int
    let lines: [Line]

    static let all = [
        Story(
            name: "Ada Keller",
            phone: "+4915100000001",
            subject: "Refund for order 1042",
            status: "open",
            priority: 2,
            tags: ["refund", "vip"],
            isAssigned: true,
            minutesAgo: 180,
            lines: [
                Line(isInbound: true, text: "Hello, order 1042 arrived broken. I would like my money back."),
                Line(isInbound: false, text: "I am sorry to hear that, Ada. Could you send us a photo?"),
                Line(isInbound: true, text: "Of course, here it comes 📷"),
            ]
        ),
        Story(
            name: "Bruno Costa",
            phone: "+351910000002",
            subject: nil,
            status: "open",
            priority: 1,
            tags: [],
            isAssigned: false,
            minutesAgo: 20,
            lines: [Line(isInbound: true, text: "Do you deliver to Porto on Saturdays?")]
        ),
        Story(
            name: "ליאת כהן",
            phone: "+972500000003",
            subject: "Change of address",
            status: "pending",
            priority: 1,
            tags: ["delivery"],
            isAssigned: true,
            minutesAgo: 600,
            lines: [
                Line(isInbound: true, text: "שלום, עברתי דירה. איך משנים כתובת?"),
                Line(isInbound: false, text: "Please tell us your new address and we will change it."),
            ]
        ),
        Story(
            name: "Dora Lind",
            phone: "+46700000004",
            subject: "Invoice",
            status: "closed",
            priority: 0,
            tags: ["billing"],
            isAssigned: true,
            minutesAgo: 4_000,
            lines: [
                Line(isInbound: true, text: "Can I have an invoice for October?"),
                Line(isInbound: false, text: "It is on its way to your inbox."),
                Line(isInbound: true, text: "Got it, thanks!"),
            ]
        ),
    ]

    /// A story with its ids.
    struct Told {
        let story: Story
        let contact: UUID
        let ticket: UUID

        func statements(in world: World) -> [SQL] {
            let times = story.lines.indices.map { index in
                Date(timeIntervalSinceNow: Double(60 * (5 * index - story.minutesAgo)))
            }
            let answers = zip(story.lines, times).filter { !$0.0.isInbound }.map(\.1)
            let questions = zip(story.lines, times).filter(\.0.isInbound).map(\.1)
            let isUnread = story.lines.last?.isInbound == true && story.status != "closed"
            let assignee: UUID? = story.isAssigned ? world.agent : nil
            let closedAt: Date? = story.status == "closed" ? times.last : nil
            var statements: [SQL] = [
                """
                INSERT INTO contacts (org_id, id, name, phone, created_at)
                VALUES (\(world.org), \(contact), \(story.name), \(story.phone), \(times.first))
                """,
                """
                INSERT INTO contact_identities (org_id, kind, value, contact_id)
                VALUES (\(world.org), 'phone', \(story.phone), \(contact))
                """,
                """
                INSERT INTO conversations (org_id, channel_id, contact_id, last_inbound_provider_at)
                VALUES (\(world.org), \(world.channel), \(contact), \(questions.last))
                """,
                """
                INSERT INTO tickets
                    (org_id, id, number, channel_id, contact_id, subject, status, priority, assignee_id, unread_count,
                     last_message_at, first_response_at, closed_at, created_at, updated_at)
                VALUES (\(world.org), \(ticket), next_ticket_number(\(world.org)), \(world.channel), \(contact), \(story.subject),
                        \(story.status), \(story.priority), \(assignee), \(isUnread ? 1 : 0), \(times.last), \(answers.first),
                        \(closedAt), \(times.first), \(times.last))
                """,
                """
                UPDATE conversations SET ticket_id = \(ticket)
                 WHERE org_id = \(world.org) AND channel_id = \(world.channel) AND contact_id = \(contact)
                """,
                """
                INSERT INTO ticket_tags (org_id, ticket_id, tag, position)
                SELECT \(world.org), \(ticket), tag, place FROM unnest(\(story.tags)::text[]) WITH ORDINALITY AS given (tag, place)
                """,
            ]
            for (line, time) in zip(story.lines, times) {
                statements.append(message(line, at: time, in: world))
            }
            return statements + [events(of: world)]
        }

        /// What happened, as the functions would have told it: roll-ups are made of events.
        private func events(of world: World) -> SQL {
            """
            INSERT INTO events (org_id, type, entity_id, ticket_id, payload, at)
            SELECT t.org_id, 'ticket.created', t.id, t.id,
                   jsonb_build_object('priority', (ARRAY['low', 'normal', 'high', 'urgent'])[t.priority + 1]), t.created_at
              FROM tickets AS t
             WHERE t.org_id = \(world.org) AND t.id = \(ticket)
            UNION ALL
            SELECT m.org_id, 'message.created', m.id, m.ticket_id, jsonb_build_object('ticketId', m.ticket_id), m.created_at
              FROM messages AS m
             WHERE m.org_id = \(world.org) AND m.ticket_id = \(ticket)
            UNION ALL
            SELECT t.org_id, 'ticket.updated', t.id, t.id,
                   jsonb_build_object(
                       'fields', '["status"]'::jsonb, 'status', '{"from": "open", "to": "closed"}'::jsonb,
                       'assigneeId', t.assignee_id
                   ),
                   t.closed_at
              FROM tickets AS t
             WHERE t.org_id = \(world.org) AND t.id = \(ticket) AND t.status = 'closed'
            """
        }

        private func message(_ line: Line, at time: Date, in world: World) -> SQL {
            let micros = Int((time.timeIntervalSince1970 * 1_000_000).rounded())
            return if line.isInbound {
                """
                INSERT INTO messages
                    (org_id, id, channel_id, contact_id, ticket_id, direction, author_type, author_id, author_name, text, status,
                     external_id, provider_at, accepted_at, created_at)
                VALUES (\(world.org), \(UUID.v7()), \(world.channel), \(contact), \(ticket), 'inbound', 'contact', \(contact),
                        \(story.name), \(line.text), 'received', \("demo-\(UUID.v7().uuidString.lowercased())"), \(time), \(micros),
                        \(time))
                """
            } else {
                """
                INSERT INTO messages
                    (org_id, id, channel_id, contact_id, ticket_id, direction, author_type, author_id, author_name, text, status,
                     external_id, accepted_at, created_at, sent_at, delivered_at, attempts, attempted_at)
                VALUES (\(world.org), \(UUID.v7()), \(world.channel), \(contact), \(ticket), 'outbound', 'user', \(world.agent),
                        'Alex Agent', \(line.text), 'delivered', \("mock-\(UUID.v7().uuidString.lowercased())"), \(micros),
                        \(time), \(time), \(time), 1, \(time))
                """
            }
        }
    }
}
