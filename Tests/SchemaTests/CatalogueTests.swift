import Postgres
import Testing

@testable import Schema

/// What every table must be, read from the catalogue, so that a later migration is held to it too.
@Suite struct CatalogueTests {
    /// Lead to an organisation, and so cannot be led by it.
    private let directories = ["channel_directory", "email_directory", "invite_directory", "refresh_directory"]

    private func names(_ statement: SQL) async throws -> [String] {
        try await TestDatabase.shared.administrator.query(statement).map { try $0.get("name", as: String.self) }
    }

    private let tenantTables: SQL = """
        SELECT c.oid, c.relname::text AS name, c.relrowsecurity, c.relforcerowsecurity
          FROM pg_class c
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'org_id' AND NOT a.attisdropped
         WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
        """

    @Test func everyTableWithAnOrganisationForcesRowSecurity() async throws {
        let tables = try await names("SELECT name FROM (\(raw: tenantTables)) t ORDER BY name")
        let open = try await names(
            """
            SELECT name FROM (\(raw: tenantTables)) t
             WHERE NOT relrowsecurity OR NOT relforcerowsecurity OR NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = t.oid)
            """
        )

        #expect(tables.count >= 20)
        #expect(open == [])
    }

    @Test func everyTableIsAnOrganisationsOrADirectoryOrTheRegister() async throws {
        let others = try await names(
            """
            SELECT relname::text AS name FROM pg_class
             WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
               AND relname NOT IN (SELECT name FROM (\(raw: tenantTables)) t)
             ORDER BY name
            """
        )

        #expect(others == ["organisations", "schedules", "schema_migrations"])
    }

    @Test func everyTenantsTableHasTheOnePolicy() async throws {
        let policies = try await TestDatabase.shared.administrator.query(
            """
            SELECT DISTINCT polrelid::regclass::text AS name,
                   pg_get_expr(polqual, polrelid) AS reading, pg_get_expr(polwithcheck, polrelid) AS writing
              FROM pg_policy WHERE polname = 'tenant' ORDER BY name
            """
        )
        let without = try await names(
            """
            SELECT name FROM (\(raw: tenantTables)) t
             WHERE NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = t.oid AND polname = 'tenant') ORDER BY name
            """
        )

        #expect(without == directories)
        for policy in policies {
            let name: String = try policy.get("name")
            let key = name == "organisations" ? "id" : "org_id"
            let expected = "(\(key) = (NULLIF(current_setting('app.org_id'::text, true), ''::text))::uuid)"
            #expect(try policy.get("reading", as: String.self) == expected, "\(name)")
            #expect(try policy.get("writing", as: String.self) == expected, "\(name)")
        }
    }

    /// See the migration of skewed tenants: plans for the mean are bad for the largest.
    @Test func everyTenantsTableIsPlannedForLargeOrganisations() async throws {
        let others = try await names(
            """
            SELECT name FROM (\(raw: tenantTables)) t
              JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = 'org_id'
             WHERE NOT ('n_distinct=4' = ANY (coalesce(a.attoptions, '{}')))
            """
        )

        #expect(others == [])
    }

    @Test func everyIndexOfATenantsTableIsLedByTheOrganisation() async throws {
        let astray = try await names(
            """
            SELECT i.indexrelid::regclass::text AS name
              FROM (\(raw: tenantTables)) t
              JOIN pg_index i ON i.indrelid = t.oid
              JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0]
             WHERE a.attname <> 'org_id' AND t.name <> ALL (\(directories)::text[])
            """
        )
        let without = try await names(
            """
            SELECT name FROM (\(raw: tenantTables)) t
             WHERE NOT EXISTS (
                       SELECT FROM pg_index i
                         JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0]
                        WHERE i.indrelid = t.oid AND a.attname = 'org_id'
                   )
            """
        )

        #expect(astray == [])
        #expect(without == [])
    }

    @Test func everyReferenceToATenantsRowIsComposite() async throws {
        let astray = try await names(
            """
            SELECT k.conname || ' of ' || k.conrelid::regclass::text AS name
              FROM pg_constraint k
              JOIN pg_attribute mine ON mine.attrelid = k.conrelid AND mine.attnum = k.conkey[1]
              JOIN pg_attribute theirs ON theirs.attrelid = k.confrelid AND theirs.attnum = k.confkey[1]
             WHERE k.contype = 'f'
               AND NOT (mine.attname = 'org_id' AND theirs.attname = 'org_id' AND cardinality(k.conkey) > 1)
               AND k.confrelid <> 'organisations'::regclass
            """
        )

        #expect(astray == [])
    }

    @Test func everyColumnThatNamesARowHasItsReference() async throws {
        // By value on purpose: what they point to may be of several kinds, or go before them.
        let byValue = [
            "audit.actor_id", "audit.entity_id", "audit.request_id", "contact_identities.scope",
            "email_directory.user_id",
            "events.entity_id", "events.ticket_id", "channel_directory.channel_id", "messages.author_id",
            "messages.external_id",
            "early_statuses.external_id", "early_statuses.message_id", "message_parts.external_id",
            "unprocessed_events.job_id",
        ]
        let without = try await names(
            """
            SELECT t.name || '.' || a.attname AS name
              FROM (\(raw: tenantTables)) t
              JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE a.attname LIKE '%\\_id' AND a.attname <> 'org_id'
               AND t.name || '.' || a.attname <> ALL (\(byValue)::text[])
               AND NOT EXISTS (
                       SELECT FROM pg_constraint k
                        WHERE k.contype = 'f' AND k.conrelid = t.oid AND a.attnum = ANY (k.conkey)
                   )
             ORDER BY name
            """
        )

        #expect(without == [])
    }

    @Test func hasNoEnumTypes() async throws {
        #expect(
            try await names(
                "SELECT typname::text AS name FROM pg_type WHERE typtype = 'e' AND typnamespace = 'public'::regnamespace"
            ) == []
        )
    }

    @Test func everyDefinersFunctionIsTheDirectorysAndShut() async throws {
        let functions = try await TestDatabase.shared.administrator.query(
            """
            SELECT p.oid::regprocedure::text AS name, p.proowner::regrole::text AS owner, p.prorettype = 'trigger'::regtype AS is_trigger,
                   coalesce('search_path=pg_catalog, public, pg_temp' = ANY (p.proconfig), false) AS is_fixed,
                   EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g WHERE g.grantee = 0) AS is_public,
                   has_function_privilege('delightchat_app', p.oid, 'EXECUTE') AS is_granted,
                   (SELECT c.relowner::regrole::text FROM pg_class c WHERE c.oid = 'campaign_recipients'::regclass) AS table_owner
              FROM pg_proc p WHERE p.prosecdef AND p.pronamespace = 'public'::regnamespace
            """
        )

        #expect(functions.count >= 12)
        for function in functions {
            let name: String = try function.get("name")
            // Statistics are refreshed by a table's owner alone.
            let owner = name == "analyze_uploads(bigint)" ? try function.get("table_owner") : "delightchat_directory"
            #expect(try function.get("owner", as: String.self) == owner, "\(name)")
            #expect(try function.get("is_fixed", as: Bool.self), "\(name)")
            #expect(try !function.get("is_public", as: Bool.self), "\(name)")
            #expect(
                try function.get("is_granted", as: Bool.self) != function.get("is_trigger", as: Bool.self),
                "\(name)"
            )
        }
    }

    @Test func nobodyLogsInAsTheGroupOrTheDirectory() async throws {
        let unsafe = try await names(
            """
            SELECT rolname::text AS name FROM pg_roles
             WHERE rolname IN ('delightchat_app', 'delightchat_directory') AND (rolcanlogin OR rolsuper OR rolbypassrls)
            """
        )

        #expect(unsafe == [])
    }

    @Test func theDirectoryRoleMayCreateNothing() async throws {
        let rows = try await TestDatabase.shared.administrator.query(
            """
            SELECT has_schema_privilege('delightchat_directory', 'public', 'CREATE')
                   OR has_schema_privilege('delightchat_app', 'public', 'CREATE') AS may
            """
        )

        #expect(try rows.first?.get("may", as: Bool.self) == false)
    }

    @Test func theApplicationHasNoGrantOnDirectoriesNorToChangeTheAudit() async throws {
        let grants = try await names(
            """
            SELECT c.relname || ' ' || g.privilege_type AS name
              FROM pg_class c, aclexplode(c.relacl) g
             WHERE g.grantee IN ('delightchat_app'::regrole, 0)
               AND (c.relname LIKE '%\\_directory' OR (c.relname = 'audit' AND g.privilege_type NOT IN ('SELECT', 'INSERT')))
            """
        )

        #expect(grants == [])
    }
}
