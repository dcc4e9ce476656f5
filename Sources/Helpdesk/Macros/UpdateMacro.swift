import Functions
import Postgres

/// Changes a macro.
///
/// `update-macro` in functions.yaml: `PUT /orgs/macros/:orgId/:macroId`, both roles. An agent may keep what the macro assigns
/// already, but not add to it. What changes nothing records nothing.
///
/// - Throws: ``Failure/notFound(_:)`` when it is absent or another organisation's, and what ``CreateMacro`` throws.
struct UpdateMacro: HTTPFunction {
    struct Input: Decodable, Sendable {
        let macroId: Macro.ID
        let name: String?
        let content: String?
        let actions: Patch<[MacroAction]>
    }

    static let input = Shape<Input>(
        path: [.required("macroId", .uuid)],
        body: .json([
            .patch("name", .text(1...200, .name), example: Macro.examples.name),
            .patch("content", Macro.content, example: Macro.examples.content),
            .patch(
                "actions",
                Macro.actions,
                clearable: true,
                doc: "replaces all of them",
                example: Macro.examples.actions
            ),
        ]),
        also: Macro.check
    )

    static let output: OutputDeclaration = .object(Macro.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let role = try context.member().role
        return try await Macro.unique {
            try await context.transaction { transaction in
                let organisation = transaction.organisation
                let given = input.actions.given ?? []
                let found = try await transaction.run([
                    """
                    SELECT m.name, m.content, m.actions
                      FROM macros AS m
                     WHERE m.org_id = \(organisation) AND m.id = \(input.macroId)
                       FOR NO KEY UPDATE
                    """,
                    MacroAction.findAssignees(given, in: organisation),
                ])
                guard let old = found[0].first else { throw Failure.notFound("macro") }
                let oldActions = try MacroAction.list(old.get("actions"))
                let newActions = input.actions.isUnchanged ? oldActions : given
                let known = Set(oldActions.compactMap(\.assignee))
                if role != .admin, !Set(given.compactMap(\.assignee)).isSubset(of: known) {
                    throw Failure.forbidden("Only an admin may put assign into a macro.")
                }
                try MacroAction.check(given, against: found[1])

                let oldName = try old.get("name", as: String.self)
                let oldContent = try old.get("content", as: String.self)
                let fields: [(name: String, from: JSON, to: JSON)] = [
                    ("name", .string(oldName), .string(input.name ?? oldName)),
                    ("content", .string(oldContent), .string(input.content ?? oldContent)),
                    ("actions", MacroAction.json(oldActions), MacroAction.json(newActions)),
                ]
                let changes = fields.filter { $0.from != $0.to }.map { AuditChange($0.name, from: $0.from, to: $0.to) }
                var statements: [SQL] = []
                if !changes.isEmpty {
                    statements = [
                        """
                        UPDATE macros
                           SET name = \(input.name ?? oldName), content = \(input.content ?? oldContent),
                               actions = \(MacroAction.json(newActions).text)::jsonb, updated_at = now()
                         WHERE org_id = \(organisation) AND id = \(input.macroId)
                        """,
                        transaction.auditing("macro.update", input.macroId.uuid, changes: changes),
                    ]
                }
                let results = try await transaction.run(
                    statements + [
                        """
                        SELECT \(raw: Macro.record.selectList)
                          FROM macros AS m
                         WHERE m.org_id = \(organisation) AND m.id = \(input.macroId)
                        """
                    ]
                )
                return Answer.row(results[statements.count], Macro.record)
            }
        }
    }
}
