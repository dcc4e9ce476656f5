import Foundation
import TestSupport
import Testing

@Suite struct UsersContractTests {
    private static let user: Set<String> = [
        "id", "orgId", "email", "name", "role", "status", "createdAt", "lastLoginAt",
    ]

    /// The token of the newest link that was mailed to somebody, once the worker has written it.
    private func mailedToken(to recipient: String, after count: Int = 0) async throws -> String {
        let host = try await Contract.host()
        let mail = try await eventually {
            let mails = try host.mails(to: recipient)
            return mails.count > count ? mails.last : nil
        }
        let link = try #require(mail.split { $0.isWhitespace }.last { $0.contains("?token=") })
        return String(link.split(separator: "token=").last ?? "")
    }

    @Test func membersAreListedByName() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()

        let all = try await acme.api.all("/orgs/users", limit: 1)
        let found = try await agent.api.get("/orgs/users?q=ADA&role=admin&status=active")

        #expect(all.map { $0["name"] as? String } == ["Ada", "Bob"])
        #expect(all.allSatisfy { Set($0.keys) == Self.user })
        #expect(found.data.count == 1)
        #expect(found.keys == ["data", "nextCursor"])
        #expect(try await acme.api.get("/orgs/users?role=owner").problem == "422 role")
        #expect(try await acme.api.get("/orgs/users?limit=0").problem == "422 limit")
        #expect(try await acme.api.get("/orgs/users?cursor=x").problem == "422 cursor")
    }

    @Test func anInviteMakesAMember() async throws {
        let acme = try await Contract.admin()
        let api = try await Contract.host().api
        let email = "joe-\(UUID().uuidString.lowercased())@example.com"

        let invite = try await acme.api.post("/orgs/users/invites", ["email": email, "role": "agent"])
        let listed = try await acme.api.get("/orgs/users/invites/list")
        let token = try await mailedToken(to: email)
        let body = ["token": token, "name": "Joe", "password": "12345678"]
        let accepted = try await api.post("/auth/accept-invite", body)

        #expect(invite.status == 201)
        #expect(invite.keys == ["id", "email", "role", "status", "expiresAt", "createdAt", "inviteUrl"])
        let url = try await Contract.host().api.base.replacing("127.0.0.1", with: "localhost")
        #expect(invite.string("inviteUrl") == "\(url)/accept-invite?token=\(token)")
        #expect(listed.data.map { Set($0.keys) } == [["id", "email", "role", "status", "expiresAt", "createdAt"]])
        #expect(accepted.status == 201)
        #expect(accepted.keys == ["user", "accessToken", "refreshToken", "expiresIn"])
        #expect(Set((accepted.object["user"] as? [String: Any] ?? [:]).keys) == Self.user)
        #expect(accepted.string("user.email") == email)
        #expect(try await api.with(token: accepted.string("accessToken")).get(acme.path).status == 200)
        #expect(try await api.logIn(email, "12345678").status == 200)
        #expect(try await api.post("/auth/accept-invite", body).problem == "401")
        #expect(try await acme.api.get("/orgs/users/invites/list").data.isEmpty)
        #expect(try await acme.api.post("/orgs/users/invites", ["email": email, "role": "agent"]).problem == "409")
        #expect(try await acme.audited(invite.string("id") ?? "") == ["invite.create", "invite.accept"])
    }

    @Test func aReplayedInviteShowsItsLinkAgain() async throws {
        let acme = try await Contract.admin()
        let body = ["email": "joe-\(UUID().uuidString.lowercased())@example.com", "role": "agent"]
        let headers = ["Idempotency-Key": "one"]

        let first = try await acme.api.post("/orgs/users/invites", body, headers: headers)
        let again = try await acme.api.post("/orgs/users/invites", body, headers: headers)
        let next = try await acme.api.post("/orgs/users/invites", body)

        #expect(first.status == 201)
        #expect(again.headers["idempotency-replayed"] == "true")
        #expect(again.body == first.body)
        #expect(next.string("inviteUrl") != first.string("inviteUrl"))
        let listed = try await acme.api.get("/orgs/users/invites/list")
        #expect(listed.data.map { $0["id"] as? String } == [next.string("id")])
    }

    @Test func whatInvitesRefuse() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()
        let other = try await Contract.admin()
        let api = try await Contract.host().api
        let email = "joe-\(UUID().uuidString.lowercased())@example.com"
        let theirs = try await other.api.post("/orgs/users/invites", ["email": email, "role": "agent"])
        let id = theirs.string("id") ?? ""

        #expect(
            try await acme.api.post("/orgs/users/invites", ["email": "x", "role": "y"]).problem == "422 /email /role"
        )
        #expect(try await acme.api.post("/orgs/users/invites", ["x": 1]).problem == "422 /email /role /x")
        #expect(try await agent.api.post("/orgs/users/invites", ["email": email, "role": "agent"]).problem == "403")
        #expect(try await agent.api.get("/orgs/users/invites/list").problem == "403")
        #expect(try await agent.api.delete("/orgs/users/invites/\(id)").problem == "403")
        #expect(try await acme.api.delete("/orgs/users/invites/\(id)").problem == "404")
        #expect(try await acme.api.delete("/orgs/users/invites/x").problem == "404")
        #expect(try await acme.api.post("/orgs/users/invites", ["email": email, "role": "agent"]).status == 201)
        #expect(try await acme.api.post("/orgs/users/invites", ["email": other.email, "role": "agent"]).status == 201)
        #expect(try await other.api.delete("/orgs/users/invites/\(id)").status == 204)
        #expect(try await other.api.delete("/orgs/users/invites/\(id)").problem == "404")
        #expect(try await api.post("/auth/accept-invite").problem == "422 /name /password /token")
        let short = ["token": "x", "name": "Joe", "password": "1234567"]
        #expect(try await api.post("/auth/accept-invite", short).problem == "422 /password")
    }

    @Test func aMemberIsRenamedAndPromoted() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()
        let path = "/orgs/users/\(agent.user)"

        let changed = try await acme.api.patch(path, ["name": "Bobby", "role": "admin"])
        let same = try await acme.api.patch(path, ["name": "Bobby"])

        #expect(changed.status == 200)
        #expect(changed.keys == Self.user)
        #expect(changed.string("name") == "Bobby")
        #expect(changed.string("role") == "admin")
        #expect(same.body == changed.body)
        #expect(try await acme.audited(agent.user).filter { $0 == "user.update" }.count == 1)
        #expect(try await agent.api.get("/auth/me").problem == "401")
        #expect(
            try await acme.api.patch(path, ["name": NSNull(), "role": "x", "email": "y"]).problem
                == "422 /email /name /role"
        )
        #expect(try await acme.api.patch("/orgs/users/\(Contract.unknownId)", ["name": "x"]).problem == "404")
        let bystander = try await Contract.bystander()
        #expect(try await bystander.api.patch(path, ["name": "x"]).problem == "404")
    }

    @Test func theLastAdminAndOneselfStay() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()

        #expect(try await acme.api.patch("/orgs/users/\(acme.user)", ["role": "agent"]).problem == "409")
        #expect(try await acme.api.post("/orgs/users/\(acme.user)/deactivate").problem == "409")
        #expect(try await agent.api.post("/orgs/users/\(acme.user)/deactivate").problem == "403")
        #expect(try await agent.api.post("/orgs/users/\(agent.user)/reactivate").problem == "403")
        #expect(try await agent.api.patch("/orgs/users/\(agent.user)", ["role": "admin"]).problem == "403")
        for verb in ["deactivate", "reactivate"] {
            #expect(try await acme.api.post("/orgs/users/\(Contract.unknownId)/\(verb)").problem == "404")
        }
        #expect(try await acme.api.get(acme.path).status == 200)
    }

    @Test func aDeactivatedMemberIsOutAtOnceAndAReactivatedOneLogsIn() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()
        let session = try await Contract.host().api.logIn(agent.email)
        let api = try await Contract.host().api
        let ticket = try await acme.ticketPath(on: acme.channel(), ["assigneeId": agent.user])

        let deactivated = try await acme.api.post("/orgs/users/\(agent.user)/deactivate")
        let again = try await acme.api.post("/orgs/users/\(agent.user)/deactivate")

        #expect(deactivated.status == 200)
        #expect(deactivated.keys == Self.user)
        #expect(deactivated.string("status") == "deactivated")
        #expect(again.body == deactivated.body)
        #expect(try await agent.api.get("/auth/me").problem == "401")
        #expect(try await agent.api.post(ticket + "/messages", ["text": "x"]).problem == "401")
        let refreshToken = session.string("refreshToken") ?? ""
        #expect(try await api.post("/auth/refresh", ["refreshToken": refreshToken]).problem == "401")
        #expect(try await api.logIn(agent.email).problem == "401")
        #expect(try await acme.api.get(ticket).object["assignee"] is NSNull)
        #expect(try await acme.api.post(ticket + "/assign", ["userId": agent.user]).problem == "422 /userId")

        let reactivated = try await acme.api.post("/orgs/users/\(agent.user)/reactivate")

        #expect(reactivated.string("status") == "active")
        #expect(try await agent.api.get("/auth/me").problem == "401")
        #expect(try await api.logIn(agent.email).status == 200)
        let audited = try await acme.audited(agent.user).filter { $0.hasPrefix("user.") }
        #expect(audited == ["user.deactivate", "user.reactivate"])
    }

    @Test func aForgottenPasswordIsSetByMail() async throws {
        let acme = try await Contract.admin()
        let api = try await Contract.host().api
        func reset(_ token: String, _ password: String = "87654321") async throws -> APIClient.Answer {
            try await api.post("/auth/reset-password", ["token": token, "password": password])
        }

        let known = try await api.post("/auth/forgot-password", ["email": acme.email.uppercased()])
        let unknown = try await api.post("/auth/forgot-password", ["email": "\(UUID().uuidString)@example.com"])
        let token = try await mailedToken(to: acme.email)

        #expect(known.status == 202)
        #expect(unknown.status == 202)
        #expect(unknown.body == known.body)
        #expect(try await reset(token, "short").problem == "422 /password")
        let wrong = try await reset("wrong")
        #expect(wrong.problem == "401")
        #expect(try await reset(token).status == 204)
        #expect(try await reset(token).gist == wrong.gist)
        #expect(try await acme.api.get("/auth/me").problem == "401")
        #expect(try await api.logIn(acme.email).problem == "401")
        let session = try await api.logIn(acme.email, "87654321")
        #expect(session.status == 200)
        let entries = try await api.with(token: session.string("accessToken"))
            .get(acme.path + "/audit-logs?action=auth.password_reset")
        #expect(entries.data.map { $0["entityId"] as? String } == [acme.user])
        #expect(!entries.text.contains("87654321") && !entries.text.contains(token))
        #expect(try await api.post("/auth/forgot-password", ["email": "x"]).problem == "422 /email")
    }

    @Test func aPasswordIsChangedByWhoKnowsIt() async throws {
        let acme = try await Contract.admin()
        let api = try await Contract.host().api
        let other = try await api.logIn(acme.email)
        func change(_ current: String, _ new: String) async throws -> APIClient.Answer {
            try await acme.api.post("/auth/change-password", ["currentPassword": current, "newPassword": new])
        }

        #expect(try await api.post("/auth/change-password").problem == "401")
        #expect(try await acme.api.post("/auth/change-password").problem == "422 /currentPassword /newPassword")
        #expect(try await change("wrong", "87654321").problem == "422 /currentPassword")
        #expect(try await change(Organisation.password, "87654321").status == 204)
        #expect(try await acme.api.get("/auth/me").status == 200)
        #expect(try await api.with(token: other.string("accessToken")).get("/auth/me").problem == "401")
        #expect(try await api.logIn(acme.email, "87654321").status == 200)
        #expect(try await acme.audited(acme.user).contains("auth.password_change"))
    }
}
