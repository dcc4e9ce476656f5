import Foundation
import Testing

@testable import Schema

@Suite struct MigrationTests {
    @Test func listsEveryFileOfTheFolderAsItIs() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Sources/Schema/Migrations")

        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { !$0.hasPrefix(".") }
            .sorted()

        #expect(files == Migration.all.map { "\($0.title).sql" })
        for (file, migration) in zip(files, Migration.all) {
            #expect(try String(contentsOf: folder.appending(path: file), encoding: .utf8) == migration.script)
        }
    }

    @Test func versionsRiseByOne() {
        #expect(Migration.all.map(\.version) == Array(1...Migration.all.count))
        #expect(Schema.currentVersion == Migration.all.count)
    }

    @Test func titlesHoldFourDigits() {
        #expect(Migration(version: 7, name: "x", script: "").title == "0007_x")
        #expect(Migration(version: 12345, name: "x", script: "").title == "12345_x")
    }

    @Test func checksumsFollowTheScript() {
        let one = Migration(version: 1, name: "a", script: "SELECT 1;")
        let same = Migration(version: 2, name: "b", script: "SELECT 1;")
        let other = Migration(version: 1, name: "a", script: "SELECT 2;")

        #expect(one.checksum == same.checksum)
        #expect(one.checksum != other.checksum)
        #expect(one.checksum.count == 64)
    }

    @Test func splitsAScriptThatRunsOutsideATransaction() {
        let script = """
            -- outside a transaction
            -- Why.

            DROP INDEX CONCURRENTLY IF EXISTS a;
            CREATE INDEX CONCURRENTLY a
                ON t (x);
            """

        let migration = Migration(version: 1, name: "a", script: script)

        #expect(migration.runsOutsideTransaction)
        #expect(
            migration.statements == [
                "DROP INDEX CONCURRENTLY IF EXISTS a;\n",
                "CREATE INDEX CONCURRENTLY a\n    ON t (x);\n",
            ]
        )
    }
}
