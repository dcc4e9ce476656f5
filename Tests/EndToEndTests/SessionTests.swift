import Foundation
import TestSupport
import Testing

/// Sessions that ended.
@Suite struct SessionTests {
    private struct Session {
        let access: String
        let refresh: String
    }

    @Test func aRevokedSessionIs401AtOnceOnEveryEndpoint() async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)
        let channel = try await acme.channel()
        let session = try await logIn(acme, host)
        let endpoints = try Endpoint.all().filter { !$0.isPublic }
        let ids = ["orgId": acme.id, "channelId": channel]

        let left = try await host.api.with(token: session.access).post(
            "/auth/logout",
            ["refreshToken": session.refresh]
        )
        var answers: [String: APIClient.Answer] = [:]
        for endpoint in endpoints {
            let rest = Dictionary(uniqueKeysWithValues: endpoint.ids.map { ($0.parameter, UUID().uuidString) })
            let path = try #require(endpoint.path(rest.merging(ids) { $1 }))
            for body in endpoint.bodies(ids: { _ in UUID().uuidString }).suffix(1) {
                answers[endpoint.name] = try await host.api.with(token: session.access).call(
                    endpoint.method,
                    path,
                    body
                )
            }
        }
        let refreshed = try await host.api.post("/auth/refresh", ["refreshToken": session.refresh])

        #expect(left.status == 204)
        #expect(answers.count == endpoints.count)
        for (name, answer) in answers {
            #expect(answer.status == 401, "\(name): \(answer.text)")
            #expect(answer.headers["www-authenticate"]?.hasPrefix("Bearer") == true, "\(name)")
        }
        #expect(refreshed.status == 401)
        // The other session of the same user goes on.
        #expect(try await acme.api.get("/auth/me").status == 200)
        host.stop()
    }

    @Test func aRefreshTokenThatWasUsedEndsItsWholeFamily() async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)
        let session = try await logIn(acme, host)

        let rotated = try await host.api.post("/auth/refresh", ["refreshToken": session.refresh])
        let access = try #require(rotated.string("accessToken"))
        let good = try await host.api.with(token: access).get("/auth/me")
        let reused = try await host.api.post("/auth/refresh", ["refreshToken": session.refresh])
        let successor = try await host.api.post(
            "/auth/refresh",
            ["refreshToken": try #require(rotated.string("refreshToken"))]
        )
        let after = try await host.api.with(token: access).get("/auth/me")

        #expect(rotated.status == 200)
        #expect(good.status == 200)
        #expect(reused.status == 401)
        #expect(successor.status == 401)
        #expect(after.status == 401)
        #expect(try await acme.api.get("/auth/me").status == 200)
        host.stop()
    }

    private func logIn(_ organisation: Organisation, _ host: RunningHost) async throws -> Session {
        let answer = try await host.api.post(
            "/auth/login",
            ["email": organisation.email, "password": "correct horse battery"]
        )
        guard let access = answer.string("accessToken"), let refresh = answer.string("refreshToken") else {
            throw UnexpectedAnswer(answer)
        }
        return Session(access: access, refresh: refresh)
    }
}
