import Functions
import Postgres

/// The invites that can still be accepted, newest first.
///
/// `list-invites` in functions.yaml: `GET /orgs/users/invites/list`, admins only.
struct ListInvites: HTTPFunction {
    struct Input: Decodable, Sendable {
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(query: Field.paging)

    static let output: OutputDeclaration = .page(of: Invite.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let page = try context.page(limit: input.limit, cursor: input.cursor)
        var condition: SQL = ""
        if let after = page.after {
            condition = " AND (i.created_at, i.id) < (\(after[0])::timestamptz, \(after[1])::uuid)"
        }
        let rows = try await context.query(
            """
            SELECT \(raw: Invite.record.selectList), i.created_at::text AS cursor_at, i.id::text AS cursor_id
              FROM invites AS i
             WHERE i.org_id = \(try context.member().organisation) AND i.status = 'pending'
               AND i.expires_at > now()\(raw: condition)
             ORDER BY i.created_at DESC, i.id DESC
             LIMIT \(page.limit + 1)
            """
        )
        return try Answer.page(rows, Invite.record, page, keys: ["cursor_at", "cursor_id"])
    }
}
