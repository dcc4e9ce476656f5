import Foundation
import Functions
import Postgres

/// Gives out a key for a machine. Its text is in this answer (and its replay) and nowhere else.
///
/// `create-api-key` in functions.yaml: `POST /orgs/:orgId/api-keys`, admins only.
///
/// - Throws: ``Failure/invalid(_:_:)-(String,_)`` for an expiry that has passed.
struct CreateApiKey: HTTPFunction {
    struct Input: Decodable, Sendable {
        let name: String
        let role: String
        let expiresAt: Date?
    }

    static let input = Shape<Input>(
        body: .json([
            .required("name", .text(1...200, .name), example: "Warehouse"),
            .required("role", .choice(Principal.Role.allCases.map(\.rawValue)), example: "agent"),
            .optional("expiresAt", .time, doc: "in the future; never unless told", example: "2126-11-22T14:45:00.000Z"),
        ])
    )

    static let output: OutputDeclaration = .object(
        Record("NewApiKey", ApiKey.record.columns + [.init("key", .text, doc: "the bearer token; shown once")]),
        status: 201
    )

    static func check(_ body: JSON, in context: HTTPContext, into check: inout FieldCheck) {
        check.future("expiresAt", of: body, now: context.now)
    }

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        guard let role = Principal.Role(rawValue: input.role) else { throw Failure.invalid("/role", "is unknown") }
        return try await context.transaction { transaction in
            let key = APIKeyToken(organisation: transaction.organisation, role: role)
            let rows = try await transaction.run([
                """
                INSERT INTO api_keys AS k (org_id, id, name, role, hash, prefix, expires_at)
                VALUES (\(transaction.organisation), \(key.id), \(input.name), \(input.role), \(key.hash), \(key.prefix),
                        \(input.expiresAt))
                RETURNING \(raw: ApiKey.record.selectList)
                """,
                transaction.auditing(
                    "api_key.create",
                    key.id,
                    changes: [
                        AuditChange("name", from: .null, to: .string(input.name)),
                        AuditChange("role", from: .null, to: .string(input.role)),
                        AuditChange("expiresAt", from: .null, to: .text(input.expiresAt?.rfc3339)),
                    ]
                ),
            ])
            return Answer.object(status: 201) {
                ApiKey.record.write(membersOf: rows[0], row: 0, into: &$0)
                $0.member("key", key.text)
            }
        }
    }
}
