import Functions
import Postgres

/// Connects an account at a provider; its secrets are sealed before they reach the database.
///
/// `create-channel` in functions.yaml: `POST /orgs/:orgId/channels`, admins only. Which credentials a type needs is in
/// ``ChannelCredentials``; nothing is asked of the provider here.
///
/// - Throws: ``Failure/invalid(_:)`` with each credential that is missing, unknown or no text, and each bad setting.
struct CreateChannel: HTTPFunction {
    struct Input: Decodable, Sendable {
        let type: String
        let name: String
        let credentials: JSON?
        let settings: JSON?
    }

    static let input = Shape<Input>(
        body: .json([
            .required("type", .choice(Channel.Kind.allCases.map(\.rawValue)), example: "mock"),
            .required("name", .text(1...200, .name), example: "Web chat"),
            .optional("credentials", .json, doc: "an object by type; sealed, never shown again", example: [:]),
            .optional("settings", .json, doc: "an object by type", example: ["outcome": "ok"]),
        ])
    )

    static let output: OutputDeclaration = .object(Channel.record, status: 201)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        guard let kind = Channel.Kind(rawValue: input.type) else { throw Failure.invalid("/type", "is unknown") }
        var check = FieldCheck.body
        let credentials = JSON.object(
            check.object(input.credentials ?? [:], ChannelCredentials.fields(of: kind), at: "/credentials")
        )
        let settings = JSON.object(
            check.object(input.settings ?? [:], ChannelSettings.fields(of: kind), at: "/settings")
        )
        ChannelSettings.check(settings, kind: kind, into: &check)
        guard check.faults.isEmpty else { throw Failure.invalid(check.faults) }

        let store = try ChannelStore(context)
        let id = Channel.ID()
        let sealed = ChannelCredentials.seal(credentials, for: id, with: context.services.sealed)
        return try await context.transaction { transaction in
            let rows = try await transaction.run([
                """
                INSERT INTO channels AS c (org_id, id, type, name, settings, credentials)
                VALUES (\(transaction.organisation), \(id), \(input.type), \(input.name),
                        \(JSON.object([]).merging(settings).text)::jsonb, \(sealed))
                RETURNING \(raw: store.selectList)
                """,
                transaction.auditing(
                    "channel.create",
                    id.uuid,
                    changes: [
                        AuditChange("type", from: .null, to: .string(input.type)),
                        AuditChange("name", from: .null, to: .string(input.name)),
                    ]
                ),
            ])
            transaction.announceChange(of: id)
            return try store.answer(rows[0], status: 201)
        }
    }
}
