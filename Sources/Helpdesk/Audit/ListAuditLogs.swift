import Foundation
import Functions
import Postgres

/// What was done in the organisation, newest first.
///
/// `list-audit-logs` in functions.yaml: `GET /orgs/:orgId/audit-logs`, admins only.
struct ListAuditLogs: HTTPFunction {
    struct Input: Decodable, Sendable {
        let action: String?
        let actorId: UUID?
        let entityType: String?
        let entityId: UUID?
        let from: QueryTime?
        let to: QueryTime?
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(
        query: [
            .optional("action", .text(1...100), example: "channel.create"),
            .optional("actorId", .uuid),
            .optional("entityType", .text(1...100), example: "channel"),
            .optional("entityId", .uuid),
        ] + AuditEntry.range + Field.paging
    )

    static let output: OutputDeclaration = .page(of: AuditEntry.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let organisation = try context.member().organisation
        let page = try context.page(
            limit: input.limit,
            cursor: input.cursor,
            filters: [
                input.action, input.actorId?.uuidString, input.entityType, input.entityId?.uuidString,
                input.from.map { "\($0)" }, input.to.map { "\($0)" },
            ]
        )
        var condition = AuditEntry.created(from: input.from, to: input.to, in: organisation)
        if let action = input.action { condition += " AND a.action = \(action)" }
        if let actor = input.actorId { condition += " AND a.actor_id = \(actor)" }
        if let type = input.entityType { condition += " AND a.entity_type = \(type)" }
        if let entity = input.entityId { condition += " AND a.entity_id = \(entity)" }
        if let after = page.after {
            condition += " AND (a.created_at, a.id) < (\(after[0])::timestamptz, \(after[1])::uuid)"
        }
        let rows = try await context.query(
            """
            SELECT \(raw: AuditEntry.record.selectList), a.created_at::text AS cursor_at, a.id::text AS cursor_id
              FROM audit AS a
             WHERE a.org_id = \(organisation)\(raw: condition)
             ORDER BY a.created_at DESC, a.id DESC
             LIMIT \(page.limit + 1)
            """
        )
        return try Answer.page(rows, AuditEntry.record, page, keys: ["cursor_at", "cursor_id"])
    }
}
