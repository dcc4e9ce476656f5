import ArgumentParser
import Foundation
import Postgres
import Schema

struct Database: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "db",
        abstract: "Migrations, demo data and a prompt of the database.",
        discussion: """
            Works on DATABASE_OWNER_URL (or DATABASE_URL), else on the private database of a running `runner up`.

            Examples:
              runner db status
              runner db migrate
              runner db psql
              runner db studio
            """,
        subcommands: [Migrate.self, Status.self, New.self, Seed.self, Reset.self, Psql.self, Studio.self]
    )

    struct Options: ParsableArguments {
        @OptionGroup var bundle: BundleOptions

        func owner() throws -> (url: String, bundle: Bundle) {
            let bundle = try bundle.bundle()
            return (try Owner.url(try bundle.environment(), root: bundle.root.path), bundle)
        }
    }

    struct Migrate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Applies the migrations that haven't run yet.",
            discussion: "Example:\n  DATABASE_OWNER_URL=postgres://owner@host/db runner db migrate"
        )

        @OptionGroup var options: Options

        func run() async throws {
            let (url, _) = try options.owner()
            try await Owner.connected(url) { postgres in
                let applied = try await Migrator(postgres).migrate { progress in
                    switch progress {
                    case .waiting: Terminal.error("waiting for another migrator")
                    case .started(let migration): Terminal.error("applying \(migration.title)")
                    case .finished: break
                    }
                }
                print(applied.isEmpty ? "nothing to apply" : "applied \(applied.count)")
            }
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows which migrations have run.",
            discussion: "Status 0 when all have, 1 otherwise.\n\nExample:\n  runner db status"
        )

        @OptionGroup var options: Options

        func run() async throws {
            let (url, _) = try options.owner()
            let statuses = try await Owner.connected(url) { try await Migrator($0).status() }
            let rows = statuses.map { status in
                let number = String(status.version)
                let version = String(repeating: "0", count: max(0, 4 - number.count)) + number
                switch status.state {
                case .pending: return [version, status.name, "pending"]
                case .applied(let at, _): return [version, status.name, "applied \(at.formatted(.iso8601))"]
                case .changed: return [version, status.name, "applied, and changed since"]
                case .unknown: return [version, status.name, "applied by a newer build"]
                }
            }
            print(Terminal.table(rows))
            let isCurrent = statuses.allSatisfy { if case .applied = $0.state { true } else { false } }
            if !isCurrent { throw ExitCode(1) }
        }
    }

    struct Seed: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Puts in demo data: an organisation, two users, a mock channel, tickets.",
            discussion: "Does nothing where the demo organisation is there already.\n\nExample:\n  runner db seed"
        )

        @OptionGroup var options: Options

        func run() async throws {
            let (url, bundle) = try options.owner()
            let account = try await DemoAccount(root: bundle.root.path).seed(ownerURL: url)
            print(
                account.map { "log in as \($0.email) with \($0.password)" } ?? "the demo organisation is there already"
            )
        }
    }

    struct Reset: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Empties the database and applies every migration anew.",
            discussion: """
                A database that `runner up` didn't make is emptied only when its name is repeated.

                Examples:
                  runner db reset
                  runner db reset --name helpdesk_staging
                """
        )

        @OptionGroup var options: Options

        @Option(help: "The database's name, to confirm.")
        var name: String?

        func run() async throws {
            let (url, bundle) = try options.owner()
            let isPrivate = PrivateAddresses.read(root: bundle.root.path)?.owner == url
            try await Owner.connected(url) { postgres in
                let rows = try await postgres.query("SELECT current_database() AS name")
                let database = try rows.first?.get("name", as: String.self) ?? ""
                let given = name ?? (isPrivate ? database : Question.line("Type \(database) to empty it: "))
                guard given == database else {
                    throw ValidationError("Nothing was changed: repeat the database's name with --name \(database).")
                }
                _ = try await postgres.withConnection {
                    try await $0.simple("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
                }
                let applied = try await Migrator(postgres).migrate()
                print("\(database) is empty; applied \(applied.count) migrations")
            }
        }
    }

    struct Psql: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Opens psql as the owner.",
            discussion: "Example:\n  runner db psql -- -c 'SELECT count(*) FROM tickets'"
        )

        @OptionGroup var options: Options

        @Argument(parsing: .postTerminator, help: "What psql is given, after --.")
        var arguments: [String] = []

        func run() async throws {
            let (url, _) = try options.owner()
            let words = ["psql", url] + arguments
            var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
            execvp("psql", &pointers)
            throw ValidationError(
                "psql can't be started: \(String(cString: strerror(errno))). Install postgresql-client."
            )
        }
    }
}

extension Question {
    /// A line from the terminal; `nil` where there is none.
    static func line(_ prompt: String) -> String? {
        guard isatty(STDIN_FILENO) == 1 else { return nil }
        FileHandle.standardError.write(Data(prompt.utf8))
        return readLine()
    }
}
