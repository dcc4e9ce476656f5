import Foundation
import Postgres
import TestSupport
import Testing

@Suite struct AuthContractTests {
    private func signUp(_ change: [String: String] = [:]) async throws -> APIClient.Answer {
        let api = try await Contract.host().api
        return try await Contract.line.wait {
            let body = [
                "organisationName": "Acme", "name": "Ada", "email": "\(UUID())@example.com",
                "password": Organisation.password,
            ]
            return try await api.post("/auth/signup", body.merging(change) { _, new in new })
        }
    }

    @Test func signingUpFoundsAnOrganisation() async throws {
        let email = "MiXed-\(UUID())@Example.com"

        let answer = try await signUp(["email": email])

        #expect(answer.status == 201)
        #expect(answer.keys == ["organisation", "user", "accessToken", "refreshToken", "expiresIn"])
        #expect(answer.object["expiresIn"] as? Int == 900)
        let organisation = answer.object["organisation"] as? [String: Any] ?? [:]
        #expect(Set(organisation.keys) == ["id", "name", "slug", "timezone", "settings", "createdAt", "updatedAt"])
        let user = answer.object["user"] as? [String: Any] ?? [:]
        #expect(Set(user.keys) == ["id", "orgId", "email", "name", "role", "status", "createdAt", "lastLoginAt"])
        #expect(user["role"] as? String == "admin")
        #expect(try await signUp(["email": email.lowercased()]).problem == "409")
        #expect(try await Contract.host().api.logIn(email.uppercased()).status == 200)
    }

    @Test func signingUpChecksEveryMember() async throws {
        let api = try await Contract.host().api

        #expect(try await api.post("/auth/signup").problem == "422 /email /name /organisationName /password")
        for email in ["x", "x@", "@example.com", "a b@example.com", "a@b@example.com", "a@example", "a@x..de"] {
            #expect(try await signUp(["email": email]).problem == "422 /email", "\(email)")
        }
        for (password, status) in [("1234567", 422), ("12345678", 201), (String(repeating: "😀", count: 128), 201)] {
            #expect(try await signUp(["password": password]).status == status)
        }
        #expect(try await signUp(["password": String(repeating: "x", count: 129)]).problem == "422 /password")
    }

    @Test func everyWrongPairGetsTheSame401() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()
        let host = try await Contract.host()
        _ = try await host.database.rows("UPDATE users SET status = 'deactivated' WHERE id = \(agent.user)::uuid")

        let answers = [
            try await host.api.logIn(acme.email, "wrong password"),
            try await host.api.logIn("\(UUID())@example.com"),
            try await host.api.logIn(agent.email),
        ]

        #expect(answers.map(\.problem) == ["401", "401", "401"])
        #expect(Set(answers.map(\.gist)).count == 1)
    }

    @Test func tenFailuresCloseTheDoorForOneAddress() async throws {
        let acme = try await Contract.admin()
        let api = try await Contract.host().api
        func logIn(_ password: String = Organisation.password, from address: String) async throws -> APIClient.Answer {
            try await api.logIn(acme.email, password, from: address)
        }

        // Failures of one address count together, those of an earlier run on the same Redis too.
        let (here, there) = ("2001:db8::" + acme.id.suffix(4), "2001:db8:1::" + acme.id.suffix(4))

        for _ in 0..<9 { #expect(try await logIn("wrong", from: here).problem == "401") }
        #expect(try await logIn(from: here).status == 200)
        for _ in 0..<10 { #expect(try await logIn("wrong", from: here).problem == "401") }

        let closed = try await logIn(from: here)
        #expect(closed.problem == "429")
        #expect((1...900).contains(Int(closed.headers["retry-after"] ?? "") ?? 0))
        #expect(try await logIn(from: there).status == 200)
    }

    @Test func aTokenMustBeOursUnchanged() async throws {
        let acme = try await Contract.admin()
        let other = try await Contract.admin()
        let api = try await Contract.host().api
        let mine = (acme.api.token ?? "").split(separator: ".").map(String.init)
        let theirs = (other.api.token ?? "").split(separator: ".").map(String.init)
        let claims = try #require(Self.claims(of: mine))

        #expect(Set(claims.keys).isSuperset(of: ["sub", "org", "role", "sid", "iat", "exp", "jti"]))
        #expect((claims["exp"] as? Int ?? 0) - (claims["iat"] as? Int ?? 0) == 900)
        #expect(claims["sub"] as? String == acme.user)
        #expect(claims["org"] as? String == acme.id)
        let none = Data(#"{"alg":"none"}"#.utf8).base64EncodedString()
        for token in [
            "", "a.b.c", "\(none).\(mine[1]).", "\(none).\(mine[1]).\(mine[2])", "\(mine[0]).\(theirs[1]).\(mine[2])",
            "\(mine[0]).\(mine[1]).", "\(mine[0]).\(mine[1])",
        ] {
            #expect(try await api.with(token: token).get("/auth/me").problem == "401", "\(token)")
        }
        for header in ["Bearer", "Basic YTpi", mine.joined(separator: ".")] {
            #expect(try await api.get("/auth/me", headers: ["Authorization": header]).problem == "401", "\(header)")
        }
        let lower = ["Authorization": "bearer " + mine.joined(separator: ".")]
        #expect(try await api.get("/auth/me", headers: lower).status == 200)
    }

    @Test func aRefreshTokenWorksOnceAndItsReuseEndsTheFamily() async throws {
        let acme = try await Contract.admin()
        let api = try await Contract.host().api
        let first = try await api.logIn(acme.email)
        func refresh(_ answer: APIClient.Answer) async throws -> APIClient.Answer {
            try await api.post("/auth/refresh", ["refreshToken": answer.string("refreshToken") ?? ""])
        }

        let second = try await refresh(first)
        let reused = try await refresh(first)

        #expect(first.keys == ["user", "accessToken", "refreshToken", "expiresIn"])
        #expect(second.status == 200)
        #expect(second.keys == ["accessToken", "refreshToken", "expiresIn"])
        #expect(reused.problem == "401")
        #expect(try await refresh(second).problem == "401")
        #expect(try await api.with(token: first.string("accessToken")).get("/auth/me").problem == "401")
        #expect(try await api.with(token: second.string("accessToken")).get("/auth/me").problem == "401")
        #expect(try await acme.api.get("/auth/me").status == 200)
        #expect(try await acme.audited(acme.user) == ["auth.signup", "auth.login", "auth.token_reuse"])
        #expect(try await api.post("/auth/refresh", ["refreshToken": "unknown"]).problem == "401")
    }

    @Test func loggingOutEndsOnlyTheCallersOwnSession() async throws {
        let acme = try await Contract.admin()
        let other = try await Contract.admin()
        let api = try await Contract.host().api
        let session = try await api.logIn(acme.email)
        let theirs = try await api.logIn(other.email)
        let client = api.with(token: session.string("accessToken"))
        func logOut(_ token: String?) async throws -> APIClient.Answer {
            try await client.post("/auth/logout", ["refreshToken": token ?? ""], headers: ["Idempotency-Key": "k"])
        }

        #expect(try await api.post("/auth/logout", ["refreshToken": "x"]).problem == "401")
        #expect(try await logOut("unknown").status == 204)
        #expect(try await logOut(theirs.string("refreshToken")).status == 204)
        #expect(try await api.with(token: theirs.string("accessToken")).get("/auth/me").status == 200)
        #expect(try await logOut(session.string("refreshToken")).status == 204)
        #expect(try await client.get("/auth/me").problem == "401")
        #expect(try await acme.api.get("/auth/me").status == 200)
    }

    @Test func permissionsFollowTheRole() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()

        let mine = try await acme.api.get("/auth/me")
        let theirs = try await agent.api.get("/auth/me")

        let (all, some) = (
            Set(mine.object["permissions"] as? [String] ?? []), theirs.object["permissions"] as? [String] ?? []
        )
        #expect(mine.keys == ["user", "organisation", "permissions"])
        #expect(all.isSuperset(of: some))
        #expect(some.contains("tickets.read"))
        #expect(!some.contains("channels.create"))
        let form = /[a-z_]+\.(read|create|update|delete|assign|send|manage)/
        #expect(all.allSatisfy { $0.wholeMatch(of: form) != nil })
    }

    private static func claims(of token: [String]) -> [String: Any]? {
        guard token.count == 3 else { return nil }
        let plain = token[1].replacing("-", with: "+").replacing("_", with: "/")
        let padded = plain + String(repeating: "=", count: (4 - plain.count % 4) % 4)
        guard let bytes = Data(base64Encoded: padded) else { return nil }
        return (try? JSONSerialization.jsonObject(with: bytes)) as? [String: Any]  // nil fails the test
    }
}
