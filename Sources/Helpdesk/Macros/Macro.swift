import Functions
import Postgres

/// A saved reply, with what it changes of the ticket that it is sent on.
enum Macro {
    typealias ID = Identifier<Macro>

    /// A `macros` row under the alias `m`.
    static let record = Record(
        "Macro",
        [
            .init("id", .uuid, "m.id"),
            .init("orgId", .uuid, "m.org_id"),
            .init("name", .text, "m.name", doc: "unique in the organisation, in any case"),
            .init("content", .text, "m.content", doc: "text with variables such as `{{contact.name}}`"),
            .init("actions", .json, "m.actions", doc: "a list of `{type, value}`, applied in this order"),
            .init("createdAt", .time, "m.created_at"),
            .init("updatedAt", .time, "m.updated_at"),
        ]
    )

    static let content = FieldType.text(1...4096, .name)

    static let actions = FieldType.list(
        .object([
            .required("type", .choice(MacroAction.Kind.allCases.map(\.rawValue))),
            .required(
                "value",
                .json,
                doc: "a status, a priority, a tag, or the id of an active user; by type",
                example: "closed"
            ),
        ]),
        0...20
    )

    static let examples: (name: JSON, content: JSON, actions: JSON) = (
        "Refund", "Hello {{contact.name}}, your refund is on its way.", [["type": "set_status", "value": "closed"]]
    )

    /// Reports what the fields alone can't tell: unknown variables, and values that don't fit their actions.
    static func check(_ body: JSON, into check: inout FieldCheck) {
        if let content = body["content"]?.string {
            let known = MacroText.variables.joined(separator: ", ")
            for name in MacroText(content).unknown {
                check.report("/content", "has the unknown variable {{\(name)}}; known are \(known)")
            }
        }
        for (index, action) in (body["actions"]?.array ?? []).enumerated() {
            guard let kind = action["type"]?.string.flatMap(MacroAction.Kind.init), let value = action.given("value")
            else { continue }
            _ = check.value(value, kind.type, at: "/actions/\(index)/value")
        }
    }

    /// Runs a change of macros.
    ///
    /// - Throws: ``Failure/conflict(_:)`` where the name is another macro's.
    static func unique(_ change: () async throws -> Answer) async throws -> Answer {
        do {
            return try await change()
        } catch let error as PostgresError where error.constraint == "macros_org_id_name_folded_key" {
            throw Failure.conflict("Another macro has this name.")
        }
    }
}

/// One thing that a macro changes of its ticket.
struct MacroAction: Decodable, Sendable, Equatable {
    enum Kind: String, CaseIterable, Sendable {
        case setStatus = "set_status"
        case setPriority = "set_priority"
        case addTag = "add_tag"
        case assign

        /// What its value may be.
        var type: FieldType {
            switch self {
            case .setStatus: .choice(Ticket.statuses)
            case .setPriority: .choice(Ticket.priorities)
            case .addTag: .text(1...50, .name)
            case .assign: .uuid
            }
        }
    }

    let type: String
    let value: JSON

    var kind: Kind? { Kind(rawValue: type) }

    /// The user whom it assigns to.
    var assignee: User.ID? { kind == .assign ? value.string.flatMap { User.ID($0) } : nil }

    /// As it is stored: ids in lower case.
    var json: JSON { ["type": .string(type), "value": assignee.map { .string("\($0)") } ?? value] }

    /// The stored ones.
    static func list(_ stored: String) throws -> [MacroAction] {
        (try JSON.parse(stored).array ?? []).compactMap { action in
            guard let type = action["type"]?.string, let value = action["value"] else { return nil }
            return MacroAction(type: type, value: value)
        }
    }

    static func json(_ actions: [MacroAction]) -> JSON { .array(actions.map(\.json)) }

    /// The active ones among those to whom the actions assign.
    static func findAssignees(_ actions: [MacroAction], in organisation: Organisation.ID) -> SQL {
        """
        SELECT u.id
          FROM users AS u
         WHERE u.org_id = \(organisation) AND u.id = ANY (\(actions.compactMap(\.assignee?.uuid))::uuid[])
           AND u.status = 'active'
        """
    }

    /// - Throws: ``Failure/invalid(_:)`` with each action that assigns to somebody who isn't in `rows`, which are those of
    ///   ``findAssignees(_:in:)``.
    static func check(_ actions: [MacroAction], against rows: PostgresRows) throws {
        let active = Set(try rows.map { try $0.get("id", as: User.ID.self) })
        let faults = actions.enumerated().compactMap { index, action -> Failure.Fault? in
            guard let assignee = action.assignee, !active.contains(assignee) else { return nil }
            return Failure.Fault(.body("/actions/\(index)/value"), "is not an active member")
        }
        guard faults.isEmpty else { throw Failure.invalid(faults) }
    }
}
