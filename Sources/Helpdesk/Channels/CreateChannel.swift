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
        ]),
        also: { body, check in
            guard let kind = body["type"]?.string.flatMap(Channel.Kind.init) else { return }
            _ = parts(of: kind, body.given("credentials"), body.given("settings"), &check)
        }
    )

    static let output: OutputDeclaration = .object(Channel.record, status: 201)

    /// What a kind of channel takes of the two, with every fault reported.
    private static func parts(
        of kind: Channel.Kind,
        _ credentials: JSON?,
        _ settings: JSON?,
        _ check: inout FieldCheck
    ) -> (credentials: JSON, settings: JSON) {
        func given(_ value: JSON?) -> JSON { if let value, value != .null { value } else { [:] } }
        let credentials = check.object(given(credentials), ChannelCredentials.fields(of: kind), at: "/credentials")
        let settings = JSON.object(check.object(given(settings), ChannelSettings.fields(of: kind), at: "/settings"))
        ChannelSettings.check(settings, kind: kind, into: &check)
        return (.object(credentials), settings)
    }

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        guard let kind = Channel.Kind(rawValue: input.type) else { throw Failure.invalid("/type", "is unknown") }
        var check = FieldCheck.body
        let (credentials, settings) = Self.parts(of: kind, input.credentials, input.settings, &check)
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
