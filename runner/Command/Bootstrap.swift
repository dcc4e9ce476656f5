import ArgumentParser
import Foundation
import Functions
import Host
import Logging
import Manifest
import Postgres
import Queue
import Redis
import Security

/// Makes what functions need out of the settings that functions.yaml declares.
enum Bootstrap {
    /// The settings, or their faults on standard error and status 3.
    static func settings(_ manifest: Manifest, environment: [String: String]) throws -> Settings {
        try settings(manifest.variables, environment: environment)
    }

    /// The settings of a process that is to see no others.
    static func settings(_ variables: [Variable], environment: [String: String]) throws -> Settings {
        do {
            return try Settings.resolve(variables, environment: withAliases(environment))
        } catch {
            Terminal.error(error.description)
            Terminal.error("`runner env` lists every variable; `runner up` makes secrets and servers by itself.")
            throw ExitCode(3)
        }
    }

    /// Names under which the same things were set in the system that this one replaces.
    static func withAliases(_ environment: [String: String]) -> [String: String] {
        var environment = environment
        if environment["REDIS_URL"] == nil, let host = environment["REDIS_HOST"] {
            let password = environment["REDIS_PASSWORD"].flatMap { $0.isEmpty ? nil : $0 }
            let secret = password.flatMap { $0.addingPercentEncoding(withAllowedCharacters: .alphanumerics) }
            environment["REDIS_URL"] =
                "redis://\(secret.map { ":\($0)@" } ?? "")\(host):\(environment["REDIS_PORT"] ?? "6379")"
        }
        return environment
    }

    static func logger(
        _ settings: Settings,
        environment: [String: String],
        descriptor: Int32 = STDOUT_FILENO
    ) -> Logger {
        let level = Logger.Level(rawValue: settings["LOG_LEVEL"] ?? "info") ?? .info
        let style = LogLines.style(environment: environment, descriptor: descriptor)
        return Logger(label: "delightchat") { LogLines(label: $0, style: style, level: level, descriptor: descriptor) }
    }

    /// - Throws: a validation error that names the setting and what is wrong with it.
    static func services(_ settings: Settings, logger: Logger) throws -> Services {
        func needed(_ name: String) throws -> String {
            guard let value = settings[name], !value.isEmpty else { throw ValidationError("\(name) is not set") }
            return value
        }
        func named<Value>(_ name: String, _ make: () throws -> Value) throws -> Value {
            do {
                return try make()
            } catch {
                throw ValidationError("\(name) \(error)")
            }
        }
        var database = PostgresConfiguration(url: try needed("DATABASE_URL"))
        database.prepare = settings.bool("DATABASE_PREPARE") ?? true
        if let pool = settings.int("DATABASE_POOL") { database.pooledConnections = pool }
        database.applicationName = "delightchat"
        let address = try needed("REDIS_URL")
        let redis = Redis(try named("REDIS_URL") { try RedisConfiguration(url: address) }, logger: logger)
        // A process whose functions use neither has its own: it knows no token, and opens nothing that was sealed.
        let secret = settings["JWT_SECRET"] ?? randomKey()
        let key = settings["ENCRYPTION_KEY"] ?? randomKey()
        return Services(
            postgres: Postgres(database, logger: logger),
            redis: redis,
            producer: Producer(redis: redis, prefix: settings["QUEUE_PREFIX"] ?? "bull"),
            passwords: PasswordHasher(),
            tokens: try named("JWT_SECRET") { try JWT(secret: secret) },
            sealed: try named("ENCRYPTION_KEY") { try Sealed(key: key) },
            cursorKey: HMAC.sha256(key: Array(secret.utf8), message: Array("cursor".utf8)),
            settings: settings.environment,
            logger: logger
        )
    }

    private static func randomKey() -> String {
        (0..<32).map { _ in
            let digits = String(UInt8.random(in: .min ... .max), radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }
}
