import ArgumentParser
import Foundation
import Functions
import Host
import Manifest
import Postgres
import Queue
import Redis
import Schema
import Security

struct Invoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Calls one function in this process, without a server.",
        discussion: """
            An endpoint is called as a user (--as EMAIL), in a session that ends with the call. A worker is given one job; a
            schedule runs once. The settings are those of `runner serve`, or of a running `runner up`.

            Examples:
              runner invoke get-me --as admin@example.com
              runner invoke list-tickets --as admin@example.com --query status=open --query limit=2
              runner invoke send-message --as admin@example.com --path ticketId=… --data '{"text":"Hello"}'
              runner invoke sweep-work
            """
    )

    @OptionGroup var options: BundleOptions

    @Argument(help: "The function's name in functions.yaml.")
    var name: String

    @Option(name: .customLong("as"), help: "The e-mail address of the user to be.")
    var user: String?

    @Option(help: "A path parameter, NAME=VALUE; orgId is filled in.")
    var path: [String] = []

    @Option(help: "A query parameter, NAME=VALUE.")
    var query: [String] = []

    @Option(help: "The body, or the job's data: JSON.")
    var data: String?

    func run() async throws {
        let bundle = try options.bundle()
        let manifest = try bundle.manifest()
        guard let pair = try bundle.pairs(of: manifest).first(where: { $0.declaration.name == name }) else {
            throw ValidationError("There is no function \"\(name)\". `runner list` names them all.")
        }
        var environment = try bundle.environment()
        if let own = PrivateAddresses.read(root: bundle.root.path) {
            environment.merge(["DATABASE_URL": own.database, "REDIS_URL": own.redis]) { given, _ in given }
        }
        let settings = try Bootstrap.settings(manifest, environment: environment)
        let logger = Bootstrap.logger(settings, environment: environment, descriptor: STDERR_FILENO)
        let services = try Bootstrap.services(settings, logger: logger)
        let invocation = Invocation(pair: pair, services: services, logger: logger)
        do {
            let isDone: Bool
            switch pair.hosted {
            case .http:
                isDone = try await invocation.request(as: user, path: pairs(path), query: pairs(query), body: data)
            case .queue: isDone = try await invocation.job(data ?? "{}")
            case .schedule: isDone = try await invocation.schedule()
            }
            await services.postgres.shutdown()
            await services.redis.shutdown()
            guard isDone else { throw ExitCode(1) }
        } catch {
            await services.postgres.shutdown()
            await services.redis.shutdown()
            throw error
        }
    }

    private func pairs(_ texts: [String]) throws -> [(name: String, value: String)] {
        try texts.map { text in
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw ValidationError("\"\(text)\" must be NAME=VALUE.") }
            return (String(parts[0]), String(parts[1]))
        }
    }
}
