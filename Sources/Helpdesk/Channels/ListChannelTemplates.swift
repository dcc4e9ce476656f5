import Functions
import Postgres

/// The message templates of a channel's account as they were last synced, by name and language.
///
/// `list-channel-templates` in functions.yaml: `GET /orgs/:orgId/channels/:channelId/templates`, both roles. ``SyncTemplates`` fetches
/// them; channels that aren't WhatsApp's have none.
///
/// - Throws: ``Failure/notFound(_:)`` when the channel is absent, deleted or another organisation's.
struct ListChannelTemplates: HTTPFunction {
    struct Input: Decodable, Sendable {
        let channelId: Channel.ID
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(path: [.required("channelId", .uuid)], query: Field.paging)
    static let output: OutputDeclaration = .page(of: MessageTemplate.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let page = try context.page(limit: input.limit, cursor: input.cursor)
        let organisation = try context.member().organisation
        var beyond: SQL = ""
        if let after = page.after, after.count == 2 {
            beyond = " AND (x.name, x.language) > (\(after[0])::text, \(after[1])::text)"
        }
        let results = try await context.run([
            """
            SELECT 1
              FROM channels AS c
             WHERE c.org_id = \(organisation) AND c.id = \(input.channelId) AND c.deleted_at IS NULL
            """,
            """
            SELECT \(raw: MessageTemplate.record.selectList), x.name AS cursor_name, x.language AS cursor_language
              FROM channel_templates AS x
             WHERE x.org_id = \(organisation) AND x.channel_id = \(input.channelId)\(raw: beyond)
             ORDER BY x.name, x.language
             LIMIT \(raw: SQL(stringLiteral: String(page.limit + 1)))
            """,
        ])
        guard !results[0].isEmpty else { throw Failure.notFound("channel") }
        return try Answer.page(
            results[1],
            MessageTemplate.record,
            page,
            keys: ["cursor_name", "cursor_language"]
        )
    }
}
