import Functions
import Postgres

/// The organisation's macros by name.
///
/// `list-macros` in functions.yaml: `GET /orgs/macros/:orgId`, both roles.
struct ListMacros: HTTPFunction {
    struct Input: Decodable, Sendable {
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(query: Field.paging)
    static let output: OutputDeclaration = .page(of: Macro.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let page = try context.page(limit: input.limit, cursor: input.cursor)
        // Names are unique, so the name alone is the key.
        let after: SQL = page.after.map { "AND m.name_folded > \($0[0])::text" } ?? ""
        let rows = try await context.query(
            """
            SELECT \(raw: Macro.record.selectList), m.name_folded AS cursor_name
              FROM macros AS m
             WHERE m.org_id = \(try context.member().organisation) \(raw: after)
             ORDER BY m.name_folded
             LIMIT \(page.limit + 1)
            """
        )
        return try Answer.page(rows, Macro.record, page, keys: ["cursor_name"])
    }
}
