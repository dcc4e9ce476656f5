import Functions
import Postgres

/// Renames a member or gives them another role.
///
/// `update-user` in functions.yaml: `PATCH /orgs/users/:userId`, admins only. Another role holds from the member's next
/// request: access tokens that say the old one are refused, and a refresh gets one with the new. What changes nothing writes
/// nothing.
///
/// - Throws: ``Failure/notFound(_:)`` when the member is absent or another organisation's; ``Failure/conflict(_:)`` when
///   nobody would be an active admin any more, also when two admins do this to each other at the same instant.
struct UpdateUser: HTTPFunction {
    struct Input: Decodable, Sendable {
        let userId: User.ID
        let name: Patch<String>
        let role: Patch<String>
    }

    static let input = Shape<Input>(
        path: [.required("userId", .uuid)],
        body: .json([
            .patch("name", .text(1...200, .name), example: "Jane Doe"),
            .patch("role", .choice(User.roles)),
        ])
    )

    static let output: OutputDeclaration = .object(User.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let users = UserStore(transaction.organisation)
            let found = try await transaction.run([
                users.lockMembership, users.lock(input.userId), users.find(input.userId),
            ])
            guard let old = found[1].first else { throw Failure.notFound("user") }
            let oldName = try old.get("name", as: String.self)
            let oldRole = try old.get("role", as: String.self)
            let name = input.name.given ?? oldName
            let role = input.role.given ?? oldRole

            var changes: [AuditChange] = []
            if JSON.string(name) != .string(oldName) {
                changes.append(AuditChange("name", from: .string(oldName), to: .string(name)))
            }
            if role != oldRole { changes.append(AuditChange("role", from: .string(oldRole), to: .string(role))) }
            guard !changes.isEmpty else { return Answer.row(found[2], User.record) }
            let isActive = try old.get("status", as: String.self) == "active"
            if role != "admin", oldRole == "admin", isActive, try !old.get("has_other_admin", as: Bool.self) {
                throw User.lastAdmin
            }

            let written = try await transaction.run([
                users.update(input.userId, name: name, role: role),
                transaction.auditing("user.update", input.userId.uuid, changes: changes),
            ])
            return Answer.row(written[0], User.record)
        }
    }
}
