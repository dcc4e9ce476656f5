package import Postgres

/// What this build expects of the database that it serves from.
package enum Schema {
    /// The version of the newest migration of this build.
    package static let currentVersion = Migration.all.last?.version ?? 0

    /// The version that the database is at; 0 when it has never been migrated.
    package static func version(of postgres: Postgres) async throws(PostgresError) -> Int {
        do {
            let rows = try await postgres.query("SELECT coalesce(max(version), 0) AS version FROM schema_migrations")
            return try rows.first?.get("version") ?? 0
        } catch  where error.sqlState == "42P01" {
            return 0
        }
    }

    /// Whether the database is at least at the version that this build was made for.
    ///
    /// A newer schema serves too: migrations keep the release before them working.
    package static func isReady(_ postgres: Postgres) async throws(PostgresError) -> Bool {
        try await version(of: postgres) >= currentVersion
    }

    /// Why row-level security would not hold for the role that `postgres` connects as, or `nil` when it does.
    ///
    /// The application must be neither superuser nor the tables' owner: one isn't bound by policies, the other could
    /// lift them.
    package static func roleFault(_ postgres: Postgres) async throws(PostgresError) -> String? {
        let rows = try await postgres.query(
            """
            SELECT r.rolname AS name,
                   r.rolsuper OR r.rolbypassrls AS is_unbound,
                   pg_has_role('delightchat_directory', 'MEMBER')
                       OR EXISTS (SELECT FROM pg_class c WHERE c.oid = to_regclass('organisations') AND c.relowner = r.oid)
                       AS is_owner,
                   pg_has_role('delightchat_app', 'USAGE') AS is_member
              FROM pg_roles r
             WHERE r.rolname = current_user AND to_regrole('delightchat_app') IS NOT NULL
            """
        )
        guard let row = rows.first else { return "the role delightchat_app is missing; run the migrations" }
        let name: String = try row.get("name")
        if try row.get("is_unbound", as: Bool.self) {
            return "role \(name) is SUPERUSER or BYPASSRLS, which row-level security does not bind"
        }
        if try row.get("is_owner", as: Bool.self) {
            return "role \(name) owns the schema; connect as a member of delightchat_app alone"
        }
        guard try row.get("is_member", as: Bool.self) else {
            return "role \(name) is not a member of delightchat_app; run GRANT delightchat_app TO \(name)"
        }
        return nil
    }

    /// Lets a log-in role be the application: makes it a member of `delightchat_app`, and makes the role itself when it
    /// does not exist and a password is given (an empty one: no password, for sockets with peer or trust).
    ///
    /// Run it as the owner after the migrations. Doing it again changes nothing, the password of a role that exists
    /// least of all.
    package static func admit(_ login: String, password: String? = nil, in postgres: Postgres) async throws {
        try await postgres.transaction { connection in
            let found = try await connection.query("SELECT FROM pg_roles WHERE rolname = \(login)")
            if found.isEmpty, let password {
                // CREATE ROLE takes no parameters, so the server quotes them for us.
                let statement = try await connection.query(
                    """
                    SELECT format('CREATE ROLE %I LOGIN', \(login)::text)
                           || CASE WHEN \(password) <> '' THEN format(' PASSWORD %L', \(password)::text) ELSE '' END AS text
                    """
                )
                for row in statement { try await connection.simple(row.get("text", as: String.self)) }
            }
            let grant = try await connection.query(
                """
                SELECT format('GRANT delightchat_app TO %I', \(login)::text) AS text
                 WHERE NOT EXISTS (
                           SELECT FROM pg_auth_members
                            WHERE roleid = 'delightchat_app'::regrole AND member = to_regrole(quote_ident(\(login)))
                       )
                """
            )
            for row in grant { try await connection.simple(row.get("text", as: String.self)) }
        }
    }
}
