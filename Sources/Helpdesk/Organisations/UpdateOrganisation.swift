import Functions
import Postgres

/// Renames the caller's organisation, moves its time zone or changes its settings.
///
/// `update-organisation` in functions.yaml: `PATCH /orgs/:orgId`, admins only. Settings are merged key by key, and `null` brings one
/// back to its default. What changes nothing writes nothing.
struct UpdateOrganisation: HTTPFunction {
    struct Input: Decodable, Sendable {
        let name: Patch<String>
        let timezone: Patch<String>
        let settings: Patch<JSON>
    }

    static let input = Shape<Input>(
        body: .json([
            .patch("name", .text(1...200, .name), example: "Acme Support"),
            .patch("timezone", .timeZone),
            .patch("settings", .object(OrganisationSettings.fields)),
        ]),
        also: { OrganisationSettings.check($0["settings"], into: &$1) }
    )

    static let output: OutputDeclaration = .object(Organisation.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let change = input.settings.given ?? [:]
        return try await context.transaction { transaction in
            let organisation = transaction.organisation
            let rows = try await transaction.query(
                """
                SELECT \(raw: Organisation.record.selectList), o.settings::text AS stored_settings
                  FROM organisations AS o
                 WHERE o.id = \(organisation)
                   FOR UPDATE
                """
            )
            guard let row = rows.first else { throw Failure.notFound("organisation") }
            let old = (name: try row.get("name", as: String.self), timezone: try row.get("timezone", as: String.self))
            let oldSettings = try JSON.parse(row.get("stored_settings", as: String.self))
            let name = input.name.applied(to: old.name) ?? old.name
            let timezone = input.timezone.applied(to: old.timezone) ?? old.timezone
            let settings = oldSettings.merging(change)

            var changes: [AuditChange] = []
            if JSON.string(name) != .string(old.name) {
                changes.append(AuditChange("name", from: .string(old.name), to: .string(name)))
            }
            if timezone != old.timezone {
                changes.append(AuditChange("timezone", from: .string(old.timezone), to: .string(timezone)))
            }
            changes += settings.changes(from: oldSettings, under: "settings", defaults: Organisation.defaults)
            guard !changes.isEmpty else { return Answer.row(rows, Organisation.record) }

            let written = try await transaction.run([
                """
                UPDATE organisations AS o
                   SET name = \(name), timezone = \(timezone), settings = \(settings.text)::jsonb, updated_at = now()
                 WHERE o.id = \(organisation)
                RETURNING \(raw: Organisation.record.selectList)
                """,
                transaction.auditing("org.update", organisation.uuid, changes: changes),
            ])
            return Answer.row(written[0], Organisation.record)
        }
    }
}
