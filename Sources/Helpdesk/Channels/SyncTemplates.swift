import Connectors
import Foundation
import Functions
import Logging
import Postgres

/// Fetches the message templates of WhatsApp accounts: of a new channel within a minute, then every hour.
///
/// `sync-templates` in functions.yaml: every minute. An account's templates are replaced as a whole, so a list that broke off
/// changes nothing; who was asked in vain is asked again after the hour. Running it twice at once fetches twice and ends the same.
struct SyncTemplates: ScheduledFunction {
    /// Seconds between two fetches of an account.
    private static let freshness = 3600
    private static let most = 50

    func run(in context: WorkContext) async throws {
        let providers = try Providers.shared(context)
        let due = try await context.services.postgres.query(
            """
            SELECT org_id, channel_id
              FROM find_channels_to_sync(make_interval(secs => \(Self.freshness)::integer), \(Self.most)::integer)
            """
        )
        for row in due {
            try Task.checkCancellation()
            let scope = context.organisation(try row.get("org_id"))
            try await sync(try row.get("channel_id"), scope, providers)
        }
    }

    private func sync(_ channel: Channel.ID, _ scope: OrganisationScope, _ providers: Providers) async throws {
        // Before the call, so that an account that takes us down isn't the first again.
        let rows = try await scope.query(
            """
            UPDATE channels
               SET templates_tried_at = clock_timestamp()
             WHERE org_id = \(scope.organisation) AND id = \(channel) AND deleted_at IS NULL
            RETURNING settings, credentials
            """
        )
        guard let row = rows.first else { return }
        let account = ChannelAccount(
            channel,
            settings: try row.get("settings"),
            credentials: try ChannelCredentials.open(
                row.optional("credentials"),
                of: channel,
                with: scope.services.sealed
            )
        )
        switch await Templates.list(account, at: providers) {
        case .failure(let fault):
            scope.services.logger.notice(
                "templates were not fetched",
                metadata: ["channel": "\(channel)", "code": "\(fault.code)", "reason": "\(fault.message)"]
            )
        case .success(let templates):
            let org = scope.organisation
            _ = try await scope.run([
                // One at a time for a channel: two replacements would mix.
                "SELECT 1 FROM channels WHERE org_id = \(org) AND id = \(channel) FOR NO KEY UPDATE",
                "DELETE FROM channel_templates WHERE org_id = \(org) AND channel_id = \(channel)",
                """
                INSERT INTO channel_templates (org_id, channel_id, name, language, category, status, components)
                SELECT \(org)::uuid, \(channel)::uuid, x.name, x.language, x.category, x.status, x.components::jsonb
                  FROM unnest(
                           \(templates.map(\.name))::text[], \(templates.map(\.language))::text[],
                           \(templates.map(\.category))::text[], \(templates.map(\.status))::text[],
                           \(templates.map { String(decoding: $0.components, as: UTF8.self) })::text[]
                       ) AS x (name, language, category, status, components)
                ON CONFLICT DO NOTHING
                """,
                """
                UPDATE channels SET templates_synced_at = clock_timestamp()
                 WHERE org_id = \(org) AND id = \(channel) AND deleted_at IS NULL
                """,
            ])
        }
    }
}
