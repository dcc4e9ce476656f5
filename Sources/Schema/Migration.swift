import Security

/// One step of the schema: a script that runs once, in order, and is never changed afterwards.
package struct Migration: Sendable, Equatable {
    /// Rises by one from migration to migration, from 1.
    package let version: Int
    /// What it does, in words with underscores: `lay_the_ground`.
    package let name: String
    package let script: String

    /// `version` and `name` as the file has them: `0001_lay_the_ground`.
    package var title: String { String(repeating: "0", count: max(0, 4 - "\(version)".count)) + "\(version)_\(name)" }

    /// SHA-256 of the script in hexadecimal. A migration that has been applied must keep it.
    package var checksum: String { Hex.encode(SHA256.digest(script)) }

    /// Whether the script's first line is `-- outside a transaction`.
    ///
    /// Such a script runs statement by statement, each committed by itself, and is run again from its start when it was
    /// interrupted. So it must be repeatable: `DROP INDEX CONCURRENTLY IF EXISTS` before `CREATE INDEX CONCURRENTLY`,
    /// because an interrupted one leaves an invalid index behind. Every statement ends with `;` at the end of a line.
    package var runsOutsideTransaction: Bool { script.hasPrefix("-- outside a transaction\n") }

    package init(version: Int, name: String, script: String) {
        self.version = version
        self.name = name
        self.script = script
    }

    /// The statements of a script that runs outside a transaction; comments stay with the statement that they precede.
    var statements: [String] {
        var statements: [String] = []
        var statement = ""
        for line in script.split(separator: "\n", omittingEmptySubsequences: true) {
            let isBlank = line.allSatisfy(\.isWhitespace)
            if isBlank || (statement.isEmpty && line.hasPrefix("--")) { continue }
            statement += line + "\n"
            if line.hasSuffix(";") {
                statements.append(statement)
                statement = ""
            }
        }
        if !statement.isEmpty { statements.append(statement) }
        return statements
    }
}

extension Migration {
    /// Every migration that this build knows, in order: the files of `Migrations/`, embedded.
    ///
    /// The build gives the files as constants but no list of them, so they are listed here; a test compares the folder.
    package static let all: [Migration] = [
        Migration(1, "lay_the_ground", PackageResources._001_lay_the_ground_sql),
        Migration(2, "organisations_and_users", PackageResources._002_organisations_and_users_sql),
        Migration(3, "channels_and_contacts", PackageResources._003_channels_and_contacts_sql),
        Migration(4, "tickets_and_messages", PackageResources._004_tickets_and_messages_sql),
        Migration(5, "events_audit_and_keys", PackageResources._005_events_audit_and_keys_sql),
        Migration(6, "search_and_sweeps", PackageResources._006_search_and_sweeps_sql),
        Migration(7, "receive_messages", PackageResources._007_receive_messages_sql),
        Migration(8, "deliver_messages", PackageResources._008_deliver_messages_sql),
        Migration(9, "mail_and_password_resets", PackageResources._009_mail_and_password_resets_sql),
        Migration(10, "macros", PackageResources._010_macros_sql),
        Migration(11, "api_keys", PackageResources._011_api_keys_sql),
        Migration(12, "contacts", PackageResources._012_contacts_sql),
        Migration(13, "remember_fires", PackageResources._013_remember_fires_sql),
        Migration(14, "campaigns", PackageResources._014_campaigns_sql),
        Migration(15, "analytics", PackageResources._015_analytics_sql),
        Migration(16, "apply_changes", PackageResources._016_apply_changes_sql),
        Migration(17, "send_webhooks", PackageResources._017_send_webhooks_sql),
        Migration(18, "send_messages", PackageResources._018_send_messages_sql),
        Migration(19, "channel_templates", PackageResources._019_channel_templates_sql),
        Migration(20, "statuses_before_echoes", PackageResources._020_statuses_before_echoes_sql),
        Migration(21, "fetch_attachments", PackageResources._021_fetch_attachments_sql),
        Migration(22, "replay_webhooks", PackageResources._022_replay_webhooks_sql),
        Migration(23, "receipts_ahead", PackageResources._023_receipts_ahead_sql),
        Migration(24, "analyze_uploads", PackageResources._024_analyze_uploads_sql),
        Migration(25, "campaign_crashes", PackageResources._025_campaign_crashes_sql),
        Migration(26, "any_order", PackageResources._026_any_order_sql),
        Migration(27, "renew_tokens", PackageResources._027_renew_tokens_sql),
        Migration(28, "changed_numbers", PackageResources._028_changed_numbers_sql),
        Migration(29, "skewed_tenants", PackageResources._029_skewed_tenants_sql),
        Migration(30, "audit_changed_numbers", PackageResources._030_audit_changed_numbers_sql),
    ]

    private init(_ version: Int, _ name: String, _ bytes: [UInt8]) {
        self.init(version: version, name: name, script: String(decoding: bytes, as: UTF8.self))
    }
}
