import Functions
import Postgres

/// Who the caller is, where, and what they may do.
///
/// `get-me` in functions.yaml: `GET /auth/me`, both roles; an API key is nobody's, so it gets 403.
struct GetMe: HTTPFunction {
    static let input = Shape<NoInput>.none

    static let output: OutputDeclaration = .object(
        Record(
            "Me",
            [
                .init("user", .object(User.record.columns)),
                .init("organisation", .object(Organisation.record.columns)),
                .init("permissions", .texts, doc: "`<feature>.<what may be done>`"),
            ]
        )
    )

    func handle(_ input: NoInput, in context: HTTPContext) async throws -> Answer {
        let me = try context.member()
        let user = try me.user
        let rows = try await context.run([
            """
            SELECT \(raw: User.record.selectList)
              FROM users AS u
             WHERE u.org_id = \(me.organisation) AND u.id = \(user)
            """,
            """
            SELECT \(raw: Organisation.record.selectList)
              FROM organisations AS o
             WHERE o.id = \(me.organisation)
            """,
        ])
        return Answer.object {
            $0.name("user")
            User.record.write(rows[0], row: 0, into: &$0)
            $0.name("organisation")
            Organisation.record.write(rows[1], row: 0, into: &$0)
            $0.name("permissions")
            $0.array { for permission in Permission.all(of: me.role) { $0.string(permission) } }
        }
    }
}
