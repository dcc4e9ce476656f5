import Foundation
import TestSupport
import Testing

/// Sessions that ended.
@Suite struct SessionTests {
    private struct Session {
        let access: String
        let refresh: String
    }

    /// What ends a member's session while its access token is still good.
    enum End: CaseIterable {
        case logOut, deactivation, anotherRole, changedPassword
    }

    @Test(arguments: End.allCases)
    func aMemberWhoseSessionEndedGets401AtOnceOnEveryEndpoint(_ end: End) async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)
        let channel = try await acme.channel()
        let session = try await logIn(acme, host)
        let chief = try await second(acme, host)
        let endpoints = try Endpoint.all().filter { !$0.isPublic }
        let ids = ["orgId": acme.id, "channelId": channel]

        let user = "/orgs/users/\(acme.user)"
        let ended =
            switch end {
            case .logOut:
                try await host.api.with(token: session.access)
                    .post("/auth/logout", ["refreshToken": session.refresh]).status == 204
            case .deactivation: try await chief.post(user + "/deactivate").status == 200
            case .anotherRole: try await chief.patch(user, ["role": "agent"]).status == 200
            case .changedPassword:
                try await acme.api.post(
                    "/auth/change-password",
                    ["currentPassword": "correct horse battery", "newPassword": "another password"]
                ).status == 204
            }
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

        #expect(ended)
        #expect(answers.count == endpoints.count)
        for (name, answer) in answers {
            #expect(answer.status == 401, "\(name): \(answer.text)")
            #expect(answer.headers["www-authenticate"]?.hasPrefix("Bearer") == true, "\(name)")
        }
        // Another role ends access tokens alone, and deactivation the member's other sessions too.
        #expect(refreshed.status == (end == .anotherRole ? 200 : 401))
        let isOtherAlive = end == .logOut || end == .changedPassword
        #expect(try await acme.api.get("/auth/me").status == (isOtherAlive ? 200 : 401))
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

    /// Another admin of the organisation.
    private func second(_ organisation: Organisation, _ host: RunningHost) async throws -> APIClient {
        let invite = try await organisation.api.post(
            "/orgs/users/invites",
            ["email": "chief-\(UUID().uuidString)@example.com", "role": "admin"]
        )
        let token = invite.string("inviteUrl")?.split(separator: "token=").last.map(String.init) ?? ""
        let body = ["token": token, "name": "Chief", "password": "correct horse battery"]
        let answer = try await host.api.post("/auth/accept-invite", body)
        guard answer.status == 201 else { throw UnexpectedAnswer(answer) }
        return host.api.with(token: answer.string("accessToken"))
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
