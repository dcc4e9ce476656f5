import Functions
import Postgres

/// Lets a deactivated member in again, with the password and role that they had; they have to log in anew.
///
/// `reactivate-user` in functions.yaml: `POST /orgs/users/:userId/reactivate`, admins only. Reactivating who is active
/// changes and records nothing.
///
/// - Throws: ``Failure/notFound(_:)`` when the member is absent or another organisation's.
struct ReactivateUser: HTTPFunction {
    struct Input: Decodable, Sendable {
        let userId: User.ID
    }

    static let input = Shape<Input>(path: [.required("userId", .uuid)])

    static let output: OutputDeclaration = .object(User.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let users = UserStore(transaction.organisation)
            let found = try await transaction.run([
                users.lockMembership, users.lock(input.userId), users.find(input.userId),
            ])
            guard let old = found[1].first else { throw Failure.notFound("user") }
            guard try old.get("status", as: String.self) != "active" else {
                return Answer.row(found[2], User.record)
            }
            let written = try await transaction.run([
                users.setStatus(input.userId, "active"),
                transaction.auditing(
                    "user.reactivate",
                    input.userId.uuid,
                    changes: [AuditChange("status", from: "deactivated", to: "active")]
                ),
            ])
            return Answer.row(written[0], User.record)
        }
    }
}
