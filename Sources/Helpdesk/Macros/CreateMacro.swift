import Functions
import Postgres

/// Saves a reply under a name.
///
/// `create-macro` in functions.yaml: `POST /orgs/macros/:orgId`, both roles. Anyone may run what it then does, so only an admin
/// may have it assign tickets.
///
/// - Throws: ``Failure/forbidden(_:)`` for an agent's `assign`; ``Failure/invalid(_:)`` for unknown variables and bad values;
///   ``Failure/conflict(_:)`` for a name that another macro has, in any case.
struct CreateMacro: HTTPFunction {
    struct Input: Decodable, Sendable {
        let name: String
        let content: String
        let actions: [MacroAction]?
    }

    static let input = Shape<Input>(
        body: .json([
            .required("name", .text(1...200, .name), example: Macro.examples.name),
            .required("content", Macro.content, example: Macro.examples.content),
            .optional("actions", Macro.actions, example: Macro.examples.actions),
        ]),
        also: Macro.check
    )

    static let output: OutputDeclaration = .object(Macro.record, status: 201)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let actions = input.actions ?? []
        if try context.member().role != .admin, actions.contains(where: { $0.kind == .assign }) {
            throw Failure.forbidden("Only an admin may put assign into a macro.")
        }
        return try await Macro.unique {
            try await context.transaction { transaction in
                let organisation = transaction.organisation
                try MacroAction.check(
                    actions,
                    against: try await transaction.query(MacroAction.findAssignees(actions, in: organisation))
                )
                let id = Macro.ID()
                let rows = try await transaction.run([
                    """
                    INSERT INTO macros AS m (org_id, id, name, content, actions)
                    VALUES (\(organisation), \(id), \(input.name), \(input.content),
                            \(MacroAction.json(actions).text)::jsonb)
                    RETURNING \(raw: Macro.record.selectList)
                    """,
                    transaction.auditing(
                        "macro.create",
                        id.uuid,
                        changes: [
                            AuditChange("name", from: .null, to: .string(input.name)),
                            AuditChange("content", from: .null, to: .string(input.content)),
                            AuditChange("actions", from: .null, to: MacroAction.json(actions)),
                        ]
                    ),
                ])
                return Answer.row(rows[0], Macro.record, status: 201)
            }
        }
    }
}
