import Functions
import Postgres

/// Deletes a macro; the messages that were made of it stay.
///
/// `delete-macro` in functions.yaml: `DELETE /orgs/macros/:orgId/:macroId`, both roles.
///
/// - Throws: ``Failure/notFound(_:)`` when it is absent or another organisation's.
struct DeleteMacro: HTTPFunction {
    struct Input: Decodable, Sendable {
        let macroId: Macro.ID
    }

    static let input = Shape<Input>(path: [.required("macroId", .uuid)])
    static let output: OutputDeclaration = .none

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let deleted = try await transaction.query(
                """
                DELETE FROM macros AS m
                 WHERE m.org_id = \(transaction.organisation) AND m.id = \(input.macroId)
                RETURNING m.name
                """
            )
            guard let macro = deleted.first else { throw Failure.notFound("macro") }
            _ = try await transaction.query(
                transaction.auditing(
                    "macro.delete",
                    input.macroId.uuid,
                    changes: [AuditChange("name", from: .string(try macro.get("name")), to: .null)]
                )
            )
            return .nothing
        }
    }
}
