import Functions
import Postgres

/// Shuts a member out.
///
/// `deactivate-user` in functions.yaml: `POST /orgs/users/:userId/deactivate`, admins only. From their next request on every
/// token of theirs is refused; their sessions and unused password resets end, and their tickets that aren't closed become
/// unassigned. What they wrote stays. Deactivating somebody again changes and records nothing.
///
/// - Throws: ``Failure/notFound(_:)`` when the member is absent or another organisation's; ``Failure/conflict(_:)`` for
///   oneself, and when nobody would be an active admin any more.
struct DeactivateUser: HTTPFunction {
    struct Input: Decodable, Sendable {
        let userId: User.ID
    }

    static let input = Shape<Input>(path: [.required("userId", .uuid)])

    static let output: OutputDeclaration = .object(User.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let isOneself = try context.member().id == input.userId.uuid
        return try await context.transaction { transaction in
            let users = UserStore(transaction.organisation)
            let found = try await transaction.run([
                users.lockMembership, users.lock(input.userId), users.find(input.userId),
            ])
            guard let old = found[1].first else { throw Failure.notFound("user") }
            if isOneself { throw Failure.conflict("Nobody can deactivate themselves.") }
            guard try old.get("status", as: String.self) == "active" else {
                return Answer.row(found[2], User.record)
            }
            let isAdmin = try old.get("role", as: String.self) == "admin"
            if isAdmin, try !old.get("has_other_admin", as: Bool.self) { throw User.lastAdmin }

            let written = try await transaction.run([
                users.setStatus(input.userId, "deactivated"),
                users.endSessions(of: input.userId, because: "deactivated"),
                PasswordReset.forget(of: input.userId, in: transaction.organisation),
                users.unassignTickets(of: input.userId),
            ])
            var changes = [AuditChange("status", from: "active", to: "deactivated")]
            let tickets = written[3].affected
            if tickets > 0 { changes.append(AuditChange("assignedTickets", from: .number("\(tickets)"), to: 0)) }
            _ = try await transaction.query(
                transaction.auditing("user.deactivate", input.userId.uuid, changes: changes)
            )
            return Answer.row(written[0], User.record)
        }
    }
}
