import ArgumentParser
import Foundation
import Postgres
import Schema

extension Database {
    struct New: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Writes a migration with the next number, and applies it where asked to.",
            discussion: """
                Without --apply the file is empty but for a comment. With it the statements are read from the standard input
                and run at once; only when they succeed, the file is written. Either way it is named in
                Sources/Schema/Migration.swift, so that the next build knows it.

                Examples:
                  runner db new add-ticket-colour
                  echo 'ALTER TABLE tickets ADD COLUMN colour text;' | runner db new add-ticket-colour --apply
                """
        )

        @OptionGroup var options: Options

        @Argument(help: "What it does, in words with dashes or underscores.")
        var name: String

        @Flag(help: "Read the statements from the standard input and apply them.")
        var apply = false

        func run() async throws {
            let words = name.lowercased().replacing("-", with: "_")
            guard words.range(of: "^[a-z][a-z0-9_]*$", options: .regularExpression) != nil else {
                throw ValidationError(
                    "The name may hold letters, digits, dashes and underscores, and begins with a letter."
                )
            }
            let files = MigrationFiles(root: try options.bundle.bundle().root)
            let known = try files.names()
            if let taken = known.first(where: { $0.hasSuffix("_\(words).sql") }) {
                throw ValidationError("There is a migration of that name: \(taken).")
            }
            let version = (known.compactMap { Int($0.prefix(4)) }.max() ?? 0) + 1
            guard apply else {
                let reason = "-- Why this is needed, and why it is safe while the previous release still serves.\n\n"
                print("wrote \(try files.add(Migration(version: version, name: words, script: reason)))")
                return
            }
            if isatty(STDIN_FILENO) == 1 { Terminal.error("Type the statements; Ctrl-D ends them.") }
            let script = String(decoding: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self)
            guard script.contains(where: { !$0.isWhitespace }) else {
                throw ValidationError("--apply reads the statements from the standard input, and there are none.")
            }
            guard known.count == Migration.all.count else {
                throw ValidationError("This runner is older than its migrations. Build it first: runner build.")
            }
            let migration = Migration(version: version, name: words, script: script)
            let (url, _) = try options.owner()
            try await Owner.connected(url) { postgres in
                _ = try await Migrator(postgres, migrations: Migration.all + [migration]).migrate()
            }
            print("applied it, and wrote \(try files.add(migration))")
        }
    }
}

/// The folder of migrations in a checkout, and the list that names them.
private struct MigrationFiles {
    private static let folder = "Sources/Schema/Migrations"
    private static let list = "Sources/Schema/Migration.swift"

    let root: URL

    func names() throws -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: root.appending(path: Self.folder).path)
        } catch {
            throw ValidationError("There is no \(Self.folder) in \(root.path): a new migration needs a checkout.")
        }
    }

    /// Writes the script and names it in the list.
    ///
    /// - Returns: the script's path, from the root.
    func add(_ migration: Migration) throws -> String {
        let path = "\(Self.folder)/\(migration.title).sql"
        let script = migration.script.hasSuffix("\n") ? migration.script : migration.script + "\n"
        let list = root.appending(path: Self.list)
        var lines = try String(contentsOf: list, encoding: .utf8).components(separatedBy: "\n")
        guard let last = lines.lastIndex(where: { $0.hasPrefix("        Migration(") }) else {
            throw ValidationError("\(Self.list) has no list of migrations.")
        }
        // The build names the constant after the file, with an underscore for the digit that may not begin it.
        let constant = "_\(migration.title.dropFirst())_sql"
        lines.insert(
            "        Migration(\(migration.version), \"\(migration.name)\", PackageResources.\(constant)),",
            at: last + 1
        )
        try script.write(to: root.appending(path: path), atomically: true, encoding: .utf8)
        try lines.joined(separator: "\n").write(to: list, atomically: true, encoding: .utf8)
        return path
    }
}
