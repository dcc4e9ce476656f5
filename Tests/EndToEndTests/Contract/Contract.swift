import Foundation
import Postgres
import TestSupport

/// The world of the suites that hold the running product against the contract: one host for all of them, since every test
/// has organisations of its own.
enum Contract {
    private static let running = Task { try await RunningHost(settings: ["TRUSTED_PROXIES": "127.0.0.1"]) }

    static func host() async throws -> RunningHost { try await running.value }

    /// A new organisation's admin.
    static func admin() async throws -> Organisation {
        let api = try await host().api
        return try await line.wait { try await Organisation.signUp(api) }
    }

    /// The admin of an organisation that many tests share: for calls that change nothing.
    static func bystander() async throws -> Organisation { try await shared.value }

    private static let shared = Task { try await admin() }

    /// What hashes a password comes one after another: the host turns away whom its own line has no place for.
    static let line = Line()

    static let unknownId = "01936f5e-7a00-7000-8000-000000000001"
    static let json = ["Content-Type": "application/json"]
}

actor Line {
    private var last: Task<Void, Never>?

    func wait<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
        let before = last
        let turn = Task {
            await before?.value
            return try await body()
        }
        last = Task { _ = await turn.result }
        return try await turn.value
    }
}

extension Organisation {
    static let password = "correct horse battery"

    var path: String { "/orgs/\(id)" }

    /// An agent of this organisation, logged in: with the admin's password, since nobody is invited yet.
    func agent(role: String = "agent") async throws -> Organisation {
        let host = try await Contract.host()
        let email = "agent-\(UUID().uuidString.lowercased())@example.com"
        _ = try await host.database.rows(
            """
            INSERT INTO users (org_id, email, name, role, password_hash)
            SELECT org_id, \(email), 'Bob', \(role), password_hash FROM users WHERE id = \(user)::uuid
            """
        )
        let answer = try await host.api.logIn(email)
        guard let token = answer.string("accessToken"), let user = answer.string("user.id") else {
            throw UnexpectedAnswer(answer)
        }
        return Organisation(id: id, user: user, email: email, api: host.api.with(token: token))
    }

    /// Opens a ticket with a new contact and returns what was answered.
    func ticket(on channel: String, _ members: [String: Any] = [:]) async throws -> APIClient.Answer {
        let handle = "handle-" + UUID().uuidString.prefix(8).lowercased()
        let answer = try await api.post(
            path + "/tickets",
            ["channelId": channel, "contact": ["handle": handle, "name": "Jane"]].merging(members) { _, new in new }
        )
        guard answer.status == 201 else { throw UnexpectedAnswer(answer) }
        return answer
    }

    /// The path of a new ticket.
    func ticketPath(on channel: String, _ members: [String: Any] = [:]) async throws -> String {
        path + "/tickets/" + (try await ticket(on: channel, members).string("id") ?? "")
    }

    /// The audit's actions about one row, oldest first.
    func audited(_ entity: String) async throws -> [String] {
        let answer = try await api.get(path + "/audit-logs?limit=100&entityId=\(entity)")
        return answer.data.reversed().compactMap { $0["action"] as? String }
    }
}

extension APIClient {
    func logIn(
        _ email: String,
        _ password: String = Organisation.password,
        from address: String? = nil
    ) async throws -> Answer {
        let headers = address.map { ["X-Forwarded-For": $0] } ?? [:]
        return try await Contract.line.wait {
            try await post("/auth/login", ["email": email, "password": password], headers: headers)
        }
    }

    /// Sends these very bytes.
    func send(_ method: String, _ path: String, bytes: String, headers: [String: String] = Contract.json) async throws
        -> Answer
    {
        try await send(method, path, body: Data(bytes.utf8), headers: headers)
    }

    /// Every row of a list, page by page.
    func all(_ path: String, _ query: [String: String] = [:], limit: Int = 100) async throws -> [[String: Any]] {
        var rows: [[String: Any]] = []
        var query = query
        query["limit"] = String(limit)
        repeat {
            let answer = try await get(path + "?" + Self.spelled(query))
            guard answer.status == 200 else { throw UnexpectedAnswer(answer) }
            rows += answer.data
            query["cursor"] = answer.string("nextCursor")
        } while query["cursor"] != nil && rows.count < 1000
        return rows
    }

    static func spelled(_ query: [String: String]) -> String {
        let plain = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-._~"))
        return query.map { name, value in
            "\(name)=\(value.addingPercentEncoding(withAllowedCharacters: plain) ?? value)"
        }.sorted().joined(separator: "&")
    }
}

extension APIClient.Answer {
    /// A problem in one line: its status and where its faults are, `422 /name /type`; what is wrong with it if it isn't as
    /// the contract wants problems.
    var problem: String {
        guard headers["content-type"] == "application/problem+json" else { return "\(status), no problem: \(text)" }
        let texts = ["type", "title", "detail", "instance", "requestId"]
        guard texts.allSatisfy({ object[$0] is String }), object["status"] as? Int == status else {
            return "\(status), lacks members: \(text)"
        }
        guard headers["x-request-id"] == object["requestId"] as? String else { return "\(status), two request ids" }
        guard status != 401 || headers["www-authenticate"]?.hasPrefix("Bearer") == true else {
            return "401, no challenge"
        }
        guard ![429, 503].contains(status) || Int(headers["retry-after"] ?? "") != nil else {
            return "\(status), no Retry-After"
        }
        let faults = object["errors"] as? [[String: Any]] ?? []
        guard faults.allSatisfy({ $0["message"] is String }), (status == 422) == !faults.isEmpty else {
            return "\(status), faults without words: \(text)"
        }
        let places = faults.compactMap { ($0["pointer"] ?? $0["parameter"] ?? $0["header"]) as? String }
        return ([String(status)] + places.sorted()).joined(separator: " ")
    }

    /// A problem without what differs from call to call.
    var gist: [String: String] {
        object.filter { !["instance", "requestId"].contains($0.key) }.mapValues { "\($0)" }
    }

    var allow: Set<String> {
        Set((headers["allow"] ?? "").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) })
    }

    var keys: Set<String> { Set(object.keys) }

    func texts(_ key: String) -> [String] { data.compactMap { $0[key] as? String } }
}
