import Foundation
import Functions
import Helpdesk
import Logging
import Postgres
import Queue
import Redis
import Security
import TestSupport

/// The functions in this process, without a host, on a database of their own and the run's Redis.
struct World: Sendable {
    let database: TestDatabase
    let services: Services
    /// Sees every row.
    let owner: Postgres
    /// The callers' address; another one in every world, since log-ins are limited by it.
    let address: String

    /// Makes a world, lends it, and takes its connections down.
    static func with(_ settings: [String: String] = [:], _ body: (World) async throws -> Void) async throws {
        let world = try await World(settings)
        do {
            try await body(world)
        } catch {
            await world.shutdown()
            throw error
        }
        await world.shutdown()
    }

    private init(_ settings: [String: String]) async throws {
        let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        database = try await TestDatabase.make()
        owner = database.owner()
        address = "2001:db8::" + String(UInt32.random(in: 1...UInt32.max), radix: 16)
        var configuration = PostgresConfiguration(url: database.applicationURL)
        configuration.pipelinedConnections = 1
        configuration.pooledConnections = 8
        let redis = Redis(try RedisConfiguration(url: TestServers.redis), logger: logger)
        services = Services(
            postgres: Postgres(configuration, logger: logger),
            redis: redis,
            producer: Producer(redis: redis, prefix: "test:\(database.name)"),
            passwords: PasswordHasher(cost: PasswordCost(ln: 4)),
            tokens: try JWT(secret: "a secret of the tests, long enough for HS256"),
            sealed: try Sealed(key: String(repeating: "0123456789abcdef", count: 4)),
            cursorKey: Array("cursors".utf8),
            settings: [
                "PUBLIC_URL": "https://help.example", "ACCESS_TTL": "15m", "REFRESH_TTL": "30d", "REFRESH_GRACE": "0s",
                "LOGIN_LIMIT_WINDOW": "15m", "LOGIN_LIMIT_PAIR": "10", "LOGIN_LIMIT_EMAIL": "100",
                "LOGIN_LIMIT_ADDRESS": "50", "PUBLIC_LIMIT_WINDOW": "15m", "SIGNUP_LIMIT_ADDRESS": "3000",
                "TOKEN_LIMIT_ADDRESS": "1000", "RESET_LIMIT_EMAIL": "10", "RESET_LIMIT_ADDRESS": "300",
                "INVITE_TTL_HOURS": "168", "MAIL_FROM": "DelightChat <help@help.example>",
                // Nobody, unless a test says where.
                "META_GRAPH_URL": "http://127.0.0.1:9", "INSTAGRAM_GRAPH_URL": "http://127.0.0.1:9",
                "META_GRAPH_VERSION": "v25.0", "X_API_URL": "http://127.0.0.1:9",
                "LINKEDIN_API_URL": "http://127.0.0.1:9", "LINKEDIN_OAUTH_URL": "http://127.0.0.1:9",
                "LINKEDIN_VERSION": "202610",
                "ATTACHMENTS_URL": "file:\(NSTemporaryDirectory())attachments-of-\(database.name)",
            ].merging(settings) { _, new in new },
            logger: logger
        )
    }

    private func shutdown() async {
        let attachments = services.settings["ATTACHMENTS_URL"]?.dropFirst("file:".count) ?? ""
        try? FileManager.default.removeItem(atPath: String(attachments))  // there is none where nothing was stored
        await owner.shutdown()
        await services.postgres.shutdown()
        await services.redis.shutdown()
    }

    /// What a function answered, or the problem that it threw, as a caller would see it.
    struct Reply: Sendable, Equatable {
        let status: Int
        let json: JSON
        /// Of a problem: `pointer message` or `parameter message`, each.
        let faults: [String]
        let detail: String
        let retryAfter: Int?

        subscript(_ path: String) -> JSON? {
            path.split(separator: ".").reduce(json as JSON?) { value, key in
                if let index = Int(key) {
                    value?.array?.indices.contains(index) == true ? value?.array?[index] : nil
                } else {
                    value?[String(key)]
                }
            }
        }

        func text(_ path: String) -> String { self[path]?.string ?? "(no \(path))" }
    }

    /// Calls a function of the registry as the host would after its own checks.
    func call(
        _ name: String,
        as caller: Caller? = nil,
        with key: String? = nil,
        path: [String: String] = [:],
        query: [(name: String, value: String)] = [],
        body: JSON? = nil,
        raw: [UInt8]? = nil,
        stream: BodyStream? = nil,
        headers: [(name: String, value: String)] = [],
        from address: String? = nil
    ) async throws -> Reply {
        guard let function = Registry.functions.first(where: { $0.name == name }),
            case .http(let endpoint) = function.hosted
        else { throw UnknownFunction(name: name) }
        let context = HTTPContext(
            function: name,
            uses: uses,
            request: Request(
                method: "-",
                path: "/\(name)/" + path.sorted { $0.key < $1.key }.map(\.value).joined(separator: "/"),
                query: query,
                headers: [("user-agent", "tests")] + headers,
                body: raw ?? Array((body?.text ?? "").utf8),
                stream: stream,
                address: address ?? self.address
            ),
            requestId: "request-of-\(name)",
            principal: key.flatMap { APIKeyToken($0) }.map(Principal.init)
                ?? caller.map {
                    Principal(user: $0.user, organisation: $0.organisation, role: $0.role, session: $0.session)
                },
            deadline: nil,
            logger: services.logger,
            services: services,
            claim: nil
        )
        do {
            let answer = try await endpoint.call(context, path, body)
            var bytes = answer.body
            if let stream = answer.stream { while let piece = try await stream.next() { bytes += piece } }
            if let type = answer.contentType, !type.hasSuffix("json") {
                let text = String(decoding: bytes, as: UTF8.self)
                return Reply(status: answer.status, json: .string(text), faults: [], detail: "", retryAfter: nil)
            }
            let json: JSON = bytes.isEmpty ? .null : try JSON.parse(bytes)
            return Reply(status: answer.status, json: json, faults: [], detail: "", retryAfter: nil)
        } catch let failure as Failure {
            let faults = failure.faults.map { fault in
                switch fault.place {
                case .body(let place), .query(let place), .header(let place): "\(place) \(fault.message)"
                }
            }
            return Reply(
                status: failure.status,
                json: .null,
                faults: faults,
                detail: failure.detail,
                retryAfter: failure.retryAfter
            )
        } catch let error as PostgresError where error.sqlState == "DC401" {
            return Reply(status: 401, json: .null, faults: [], detail: "session", retryAfter: nil)
        }
    }

    /// Runs a schedule of the registry once.
    func runSchedule(_ name: String) async throws {
        guard let function = Registry.functions.first(where: { $0.name == name }),
            case .schedule(let run) = function.hosted
        else { throw UnknownFunction(name: name) }
        try await run(
            WorkContext(function: name, uses: uses, deadline: nil, logger: services.logger, services: services)
        )
    }

    /// Every setting, those too that may be absent.
    var uses: Set<String> {
        Set(services.settings.keys).union(["MAIL_URL", "MAIL_CA_FILE", "MAIL_DIR", "EGRESS_ALLOW", "ATTACHMENT_LIMIT"])
    }

    struct UnknownFunction: Error {
        let name: String
    }

    /// One column of a query under no policy, as text.
    func column(_ statement: SQL) async throws -> [String?] {
        let rows = try await owner.query(statement)
        return try rows.map { try $0.optional(rows.columns[0], as: String.self) }
    }
}

/// Somebody who is logged in.
struct Caller: Sendable, Equatable {
    let user: UUID
    let organisation: Tenant.ID
    let role: Principal.Role
    let session: UUID
    let email: String
    let refreshToken: String

    init(_ token: AccessToken, email: String, refreshToken: String) throws {
        user = token.sub
        organisation = Tenant.ID(token.org)
        role = Principal.Role(rawValue: token.role) ?? .agent
        session = token.sid
        self.email = email
        self.refreshToken = refreshToken
    }
}

extension World {
    static let password = "correct horse battery staple"

    /// A new organisation's admin.
    func admin(_ name: String = "Acme") async throws -> Caller {
        let email = "\(UUID().uuidString.prefix(8))@example.com"
        let reply = try await call(
            "sign-up",
            body: [
                "organisationName": .string(name), "name": "Jane Doe", "email": .string(email),
                "password": .string(Self.password),
            ]
        )
        return try caller(reply, email: email)
    }

    /// An agent in an admin's organisation, logged in.
    func agent(of admin: Caller) async throws -> Caller {
        let email = "\(UUID().uuidString.prefix(8))@example.com"
        let hash = try await services.passwords.hash(Self.password)
        _ = try await owner.query(
            """
            INSERT INTO users (org_id, email, name, role, password_hash)
            VALUES (\(admin.organisation), \(email), 'Joe Bloggs', 'agent', \(hash))
            """
        )
        return try caller(try await logIn(email), email: email)
    }

    func logIn(_ email: String, _ password: String = World.password, from address: String? = nil) async throws -> Reply
    {
        try await call("log-in", body: ["email": .string(email), "password": .string(password)], from: address)
    }

    func refresh(_ token: String) async throws -> Reply {
        try await call("refresh-session", body: ["refreshToken": .string(token)])
    }

    func caller(_ reply: Reply, email: String) throws -> Caller {
        try Caller(
            services.tokens.verify(reply.text("accessToken"), now: services.now()),
            email: email,
            refreshToken: reply.text("refreshToken")
        )
    }

    /// The audit's actions of an organisation, oldest first.
    func audited(_ organisation: Tenant.ID) async throws -> [String?] {
        try await column("SELECT action FROM audit WHERE org_id = \(organisation) ORDER BY created_at, id")
    }
}
