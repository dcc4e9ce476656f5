import Functions
import Postgres

/// The members of the organisation by name, without regard to case.
///
/// `list-users` in functions.yaml: `GET /orgs/users`, both roles.
struct ListUsers: HTTPFunction {
    struct Input: Decodable, Sendable {
        let role: String?
        let status: String?
        let q: String?
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(
        query: [
            .optional("role", .choice(User.roles)),
            .optional("status", .choice(["active", "deactivated"])),
            .optional(
                "q",
                .text(1...200),
                doc: "what the name or the e-mail address contains, in any case",
                example: "jan"
            ),
        ] + Field.paging
    )

    static let output: OutputDeclaration = .page(of: User.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let page = try context.page(
            limit: input.limit,
            cursor: input.cursor,
            filters: [input.role, input.status, input.q]
        )
        var condition: SQL = ""
        if let role = input.role { condition += " AND u.role = \(role)" }
        if let status = input.status { condition += " AND u.status = \(status)" }
        if let text = input.q {
            condition += """
                 AND (strpos(u.name_folded, fold(\(text)::text)) > 0 OR strpos(u.email_folded, fold(\(text)::text)) > 0)
                """
        }
        if let after = page.after {
            condition += " AND (u.name_folded, u.id) > (\(after[0])::text, \(after[1])::uuid)"
        }
        let rows = try await context.query(
            """
            SELECT \(raw: User.record.selectList), u.name_folded AS cursor_name, u.id::text AS cursor_id
              FROM users AS u
             WHERE u.org_id = \(try context.member().organisation)\(raw: condition)
             ORDER BY u.name_folded, u.id
             LIMIT \(page.limit + 1)
            """
        )
        return try Answer.page(rows, User.record, page, keys: ["cursor_name", "cursor_id"])
    }
}
