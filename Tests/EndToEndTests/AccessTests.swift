import Foundation
import Security
import TestSupport
import Testing

/// What the host checks before a function is called, on every endpoint of functions.yaml.
@Suite struct AccessTests {
    @Test func everyEndpointThatIsNotPublicWantsAToken() async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)

        for endpoint in try Endpoint.all() where !endpoint.isPublic {
            let path = endpoint.pathToNowhere(in: acme.id)
            for token in [nil, "", "no.such.token", "eyJhbGciOiJub25lIn0.e30."] {
                let answer = try await host.api.with(token: token).call(endpoint.method, path)
                #expect(answer.status == 401, "\(endpoint): \(answer.text)")
                #expect(answer.headers["www-authenticate"]?.hasPrefix("Bearer") == true, "\(endpoint)")
                #expect(answer.headers["content-type"] == "application/problem+json", "\(endpoint)")
            }
        }
        host.stop()
    }

    @Test func anAgentMayDoWhatIsNotForAdmins() async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)
        try await host.database.script("UPDATE users SET role = 'agent' WHERE id = '\(acme.user)'")
        let session = try await host.api.post(
            "/auth/login",
            ["email": acme.email, "password": "correct horse battery"]
        )
        let token: String = try #require(session.string("accessToken"))
        let agent = host.api.with(token: token)

        for endpoint in try Endpoint.all() where !endpoint.isPublic && !endpoint.isStream {
            let answer = try await agent.call(
                endpoint.method,
                endpoint.pathToNowhere(in: acme.id),
                endpoint.bodies(ids: { _ in nil }).first ?? nil
            )
            if endpoint.isForAdmins {
                #expect(answer.status == 403, "\(endpoint): \(answer.text)")
            } else {
                #expect(![401, 403].contains(answer.status), "\(endpoint): \(answer.text)")
            }
        }
        host.stop()
    }

    /// Everyone who may come along, at every function: each gets in where functions.yaml says so and nowhere else.
    @Test func everyFunctionLetsInWhomItDeclaresAndNobodyElse() async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)
        let other = try await Organisation.signUp(host.api, name: "Other")
        let agent = try await acme.token(of: "agent", on: host)
        let gone = try await acme.token(of: "admin", on: host)
        try await host.database.script("UPDATE users SET status = 'deactivated' WHERE email LIKE 'admin-of-%'")
        func key(_ role: String, _ more: [String: Any] = [:]) async throws -> (id: String, key: String) {
            let body: [String: Any] = ["name": role, "role": role].merging(more) { _, new in new }
            let made = try await acme.api.post("/orgs/\(acme.id)/api-keys", body)
            return (made.string("id") ?? "", made.string("key") ?? "")
        }
        let deleted = try await key("admin")
        _ = try await acme.api.delete("/orgs/\(acme.id)/api-keys/\(deleted.id)")
        let expired = try await key("admin")
        try await host.database.script("UPDATE api_keys SET expires_at = now() WHERE id = '\(expired.id)'")
        let jwt = try JWT(secret: "a secret of the tests, long enough for HS256")
        let claims = try jwt.verify(try #require(acme.api.token), now: Date())
        let now = Int(Date().timeIntervalSince1970)
        let stale = AccessToken(
            sub: claims.sub,
            org: claims.org,
            role: claims.role,
            sid: claims.sid,
            iat: now - 1000,
            exp: now - 1
        )
        enum Way { case admin, agent, stranger, nobody }
        let callers: [(name: String, token: String?, way: Way, isKey: Bool)] = [
            ("nobody", nil, .nobody, false), ("admin", acme.api.token, .admin, false), ("agent", agent, .agent, false),
            ("another organisation's admin", other.api.token, .stranger, false),
            ("expired token", jwt.sign(stale), .nobody, false), ("deactivated user", gone, .nobody, false),
            ("admin's key", try await key("admin").key, .admin, true),
            ("agent's key", try await key("agent").key, .agent, true),
            ("deleted key", deleted.key, .nobody, true), ("expired key", expired.key, .nobody, true),
        ]

        for endpoint in try Endpoint.all() where !endpoint.isPublic && !endpoint.isStream {
            let path = endpoint.pathToNowhere(in: acme.id)
            let body = endpoint.bodies(ids: { _ in nil }).first ?? nil
            // About the one who is logged in, which no key is.
            let isPersonal = path.hasPrefix("/auth/")
            for caller in callers {
                let answer = try await host.api.with(token: caller.token).call(endpoint.method, path, body)
                let refusal: Int? =
                    if caller.way == .nobody {
                        401
                    } else if caller.way == .stranger {
                        endpoint.namesOrganisation ? 403 : nil
                    } else if caller.isKey, isPersonal {
                        403
                    } else {
                        endpoint.isForAdmins && caller.way == .agent ? 403 : nil
                    }
                if let refusal {
                    #expect(answer.status == refusal, "\(endpoint) by \(caller.name): \(answer.text)")
                } else {
                    #expect(![401, 403].contains(answer.status), "\(endpoint) by \(caller.name): \(answer.text)")
                    #expect(answer.status < 500, "\(endpoint) by \(caller.name): \(answer.text)")
                }
            }
        }
        host.stop()
    }

    @Test func everyBodyIsCheckedInTheContractsOrder() async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)
        let endpoints = try Endpoint.all().filter(\.takesJSON)

        for endpoint in endpoints {
            let path = endpoint.pathToNowhere(in: acme.id)
            func send(_ body: String, _ type: String? = "application/json") async throws -> APIClient.Answer {
                let headers = type.map { ["Content-Type": $0] } ?? [:]
                return try await acme.api.send(endpoint.method, path, body: Data(body.utf8), headers: headers)
            }
            let large = try await send("{}" + String(repeating: " ", count: endpoint.bodyLimit))
            let other = try await send("{}", "text/plain")
            let unreadable = try await send("{\"text\": ")
            let noObject = try await send("[]")
            let unknown = try await send("{\"noSuchMember\": 1}")
            let pointers = (unknown.object["errors"] as? [[String: Any]] ?? []).compactMap { $0["pointer"] as? String }

            #expect(large.status == 413, "\(endpoint): \(large.text)")
            #expect(other.status == 415, "\(endpoint): \(other.text)")
            #expect(unreadable.status == 400, "\(endpoint): \(unreadable.text)")
            #expect(noObject.status == 422, "\(endpoint): \(noObject.text)")
            #expect(unknown.status == 422, "\(endpoint): \(unknown.text)")
            #expect(pointers.contains("/noSuchMember"), "\(endpoint): \(unknown.text)")
        }
        #expect(endpoints.count >= 8)
        host.stop()
    }

    @Test func anotherVerbIs405AndAMalformedIdIsOneThatNobodyHas() async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)

        for endpoint in try Endpoint.all() {
            let path = endpoint.pathToNowhere(in: acme.id)
            let answer = try await acme.api.call("TRACE", path)
            let options = try await acme.api.call("OPTIONS", path)
            #expect(answer.status == 405, "\(endpoint): \(answer.text)")
            #expect(answer.headers["allow"]?.contains(endpoint.method) == true, "\(endpoint)")
            #expect(options.status == 204, "\(endpoint)")
            #expect(options.headers["allow"]?.contains(endpoint.method) == true, "\(endpoint)")
            for (parameter, _) in endpoint.ids {
                let ids = Dictionary(uniqueKeysWithValues: endpoint.ids.map { ($0.parameter, UUID().uuidString) })
                let malformed = ids.merging(["orgId": acme.id, parameter: "not-an-id"]) { $1 }
                let answer = try await acme.api.call(endpoint.method, try #require(endpoint.path(malformed)))
                let unknown = try await acme.api.call(endpoint.method, path)
                #expect(
                    answer.status == (parameter == "orgId" ? 404 : unknown.status) || answer.status == 405,
                    "\(endpoint): \(answer.text)"
                )
                #expect([400, 404, 405].contains(answer.status), "\(endpoint): \(answer.text)")
            }
        }
        host.stop()
    }
}

extension Organisation {
    /// The access token of a further user of this organisation.
    fileprivate func token(of role: String, on host: RunningHost) async throws -> String {
        let email = "\(role)-of-\(UUID().uuidString.lowercased())@example.com"
        try await host.database.script(
            """
            INSERT INTO users (org_id, email, name, role, password_hash)
            SELECT org_id, '\(email)', 'Bob', '\(role)', password_hash FROM users WHERE id = '\(user)'
            """
        )
        let session = try await host.api.post("/auth/login", ["email": email, "password": "correct horse battery"])
        guard let token = session.string("accessToken") else { throw UnexpectedAnswer(session) }
        return token
    }
}
