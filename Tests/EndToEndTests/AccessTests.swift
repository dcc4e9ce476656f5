import Foundation
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

    @Test func anotherVerbIs405AndAMalformedIdIs404() async throws {
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
                #expect([404, 405].contains(answer.status), "\(endpoint): \(answer.text)")
            }
        }
        host.stop()
    }
}
