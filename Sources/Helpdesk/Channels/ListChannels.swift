import Functions
import Postgres

/// The organisation's channels, newest first.
///
/// `list-channels` in functions.yaml: `GET /orgs/:orgId/channels`, both roles.
struct ListChannels: HTTPFunction {
    struct Input: Decodable, Sendable {
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(query: Field.paging)
    static let output: OutputDeclaration = .page(of: Channel.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let store = try ChannelStore(context)
        let page = try context.page(limit: input.limit, cursor: input.cursor)
        let after: SQL = page.after.map { "AND (c.created_at, c.id) < (\($0[0])::timestamptz, \($0[1])::uuid)" } ?? ""
        let rows = try await context.query(
            """
            SELECT \(raw: store.selectList), c.created_at::text AS cursor_at, c.id::text AS cursor_id
              FROM channels AS c
             WHERE c.org_id = \(try context.member().organisation) AND c.deleted_at IS NULL \(raw: after)
             ORDER BY c.created_at DESC, c.id DESC
             LIMIT \(page.limit + 1)
            """
        )
        return try Answer.page(rows, page, keys: ["cursor_at", "cursor_id"]) { rows, row, writer in
            try store.write(rows, row: row, into: &writer)
        }
    }
}
