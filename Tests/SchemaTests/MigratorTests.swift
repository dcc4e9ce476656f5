import Foundation
import Postgres
import Synchronization
import Testing

@testable import Schema

@Suite struct MigratorTests {
    private let steps = [
        Migration(version: 1, name: "one", script: "CREATE TABLE one (id integer); INSERT INTO one VALUES (1);"),
        Migration(version: 2, name: "two", script: "CREATE TABLE two (id integer);"),
    ]

    @Test func bringsAnEmptyDatabaseToTheCurrentVersion() async throws {
        let database = try await TestDatabase.empty()
        let before = try await Schema.version(of: database.owner)
        let pending = try await Migrator(database.owner).status()

        let applied = try await Migrator(database.owner).migrate()
        let again = try await Migrator(database.owner).migrate()

        #expect(before == 0)
        #expect(pending.allSatisfy { $0.state == .pending } && pending.count == Schema.currentVersion)
        #expect(applied == Migration.all)
        #expect(again == [])
        #expect(try await Schema.version(of: database.owner) == Schema.currentVersion)
        #expect(try await Schema.isReady(database.application))
        await database.close()
    }

    @Test func tellsWhatItDoes() async throws {
        let database = try await TestDatabase.empty()
        let told = Mutex<[String]>([])

        try await Migrator(database.owner, migrations: steps).migrate { progress in
            told.withLock {
                switch progress {
                case .waiting: $0.append("waiting")
                case .started(let migration): $0.append("started \(migration.title)")
                case .finished(let migration, _): $0.append("finished \(migration.title)")
                }
            }
        }

        #expect(
            told.withLock { $0 } == ["started 0001_one", "finished 0001_one", "started 0002_two", "finished 0002_two"]
        )
        await database.close()
    }

    @Test func appliesEachMigrationOnceAmongSeveralMigrators() async throws {
        let database = try await TestDatabase.empty()
        let slow = [
            Migration(version: 1, name: "slow", script: "SELECT pg_sleep(0.3); CREATE TABLE slow (id integer);")
        ]
        let migrations = slow + [Migration(version: 2, name: "two", script: "CREATE TABLE two (id integer);")]

        let applied = try await withThrowingTaskGroup(of: [Migration].self) { group in
            for _ in 0..<4 {
                group.addTask { try await Migrator(database.owner, migrations: migrations).migrate() }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }

        #expect(applied.sorted { $0.version < $1.version } == migrations)
        await database.close()
    }

    @Test func refusesAScriptThatWasChangedAfterwards() async throws {
        let database = try await TestDatabase.empty()
        try await Migrator(database.owner, migrations: steps).migrate()
        let changed = [Migration(version: 1, name: "one", script: "SELECT 1;"), steps[1]]
        let migrator = Migrator(database.owner, migrations: changed)

        let error = await #expect(throws: MigrationError.self) { try await migrator.migrate() }

        #expect(error?.description.hasPrefix("migration 0001_one was changed after it had been applied on ") == true)
        guard case .changed = try #require(try await migrator.status().first).state else {
            Issue.record("the status doesn't show the change")
            return
        }
        await database.close()
    }

    @Test func leavesNoTraceOfAFailingMigration() async throws {
        let database = try await TestDatabase.empty()
        let broken = Migration(version: 3, name: "broken", script: "CREATE TABLE three (id integer); SELECT 1 / 0;")

        let error = await #expect(throws: MigrationError.self) {
            try await Migrator(database.owner, migrations: steps + [broken]).migrate()
        }

        #expect(error?.description.contains("0003_broken failed") == true)
        #expect(error?.description.contains("division by zero") == true)
        #expect(try await Schema.version(of: database.owner) == 2)
        #expect(try await database.owner.query("SELECT FROM pg_class WHERE relname = 'three'").isEmpty)
        await database.close()
    }

    @Test func refusesAMigrationThatALaterOneOvertook() async throws {
        let database = try await TestDatabase.empty()
        try await Migrator(database.owner, migrations: [steps[1]]).migrate()

        let error = await #expect(throws: MigrationError.self) {
            try await Migrator(database.owner, migrations: steps).migrate()
        }

        #expect(
            error?.description == "migration 0001_one is pending although 2 has been applied; give it a number above 2"
        )
        await database.close()
    }

    @Test func leavesANewerDatabaseAlone() async throws {
        let database = try await TestDatabase.empty()
        try await Migrator(database.owner, migrations: steps).migrate()
        let older = Migrator(database.owner, migrations: [steps[0]])

        let applied = try await older.migrate()

        #expect(applied == [])
        let last = try #require(try await older.status().last)
        guard case .unknown = last.state else {
            Issue.record("\(last) isn't unknown")
            return
        }
        #expect(last.name == "two")
        await database.close()
    }

    @Test func buildsAnIndexConcurrentlyAndRepeatsItAfterAFailure() async throws {
        let database = try await TestDatabase.empty()
        let index = """
            -- outside a transaction
            DROP INDEX CONCURRENTLY IF EXISTS one_by_id;
            CREATE UNIQUE INDEX CONCURRENTLY one_by_id ON one (id);
            """
        let migrations = [steps[0], Migration(version: 2, name: "index", script: index)]
        try await Migrator(database.owner, migrations: [steps[0]]).migrate()
        _ = try await database.owner.query("INSERT INTO one VALUES (1)")

        await #expect(throws: MigrationError.self) {
            try await Migrator(database.owner, migrations: migrations).migrate()
        }
        _ = try await database.owner.query("TRUNCATE one")
        let applied = try await withThrowingTaskGroup(of: [Migration].self) { group in
            for _ in 0..<3 {
                group.addTask { try await Migrator(database.owner, migrations: migrations).migrate() }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }

        #expect(applied == [migrations[1]])
        let rows = try await database.owner.query(
            "SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = 'one_by_id'::regclass"
        )
        #expect(try rows.first?.get("valid", as: Bool.self) == true)
        await database.close()
    }

    @Test func saysWhatAnOwnerWithoutRightsLacks() async throws {
        let database = try await TestDatabase.empty()
        let stranger = try await database.stranger()

        let error = await #expect(throws: PostgresError.self) { try await Migrator(stranger).migrate() }

        #expect(error?.sqlState == "42501")
        await stranger.shutdown()
        await database.close()
    }

    @Test func saysThatTheOwnerIsNoMemberOfTheDirectoryRole() async throws {
        let database = try await TestDatabase.empty()
        _ = try await database.administrator.run([
            "GRANT CREATE ON SCHEMA public TO schema_test_stranger",
            "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO schema_test_stranger', current_database()); END $$",
        ])
        let stranger = try await database.stranger()

        let error = await #expect(throws: MigrationError.self) { try await Migrator(stranger).migrate() }

        #expect(error?.description.contains("role schema_test_stranger is no member of delightchat_directory") == true)
        #expect(error?.description.contains("GRANT delightchat_directory TO schema_test_stranger") == true)
        await stranger.shutdown()
        await database.close()
    }
}
