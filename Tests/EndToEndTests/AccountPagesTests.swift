import Foundation
import TestSupport
import Testing

/// The pages that links in mails lead to.
@Suite struct AccountPagesTests {
    @Test func anInvitesLinkLeadsToAFormThatAcceptsIt() async throws {
        let acme = try await Contract.admin()
        let email = "joe-\(UUID().uuidString.lowercased())@example.com"
        let invite = try await acme.api.post("/orgs/users/invites", ["email": email, "role": "agent"])
        let link = try #require(URLComponents(string: invite.string("inviteUrl") ?? ""))

        let page = try await acme.api.with(token: nil).get("\(link.path)?\(link.query ?? "")")

        #expect(page.status == 200)
        #expect(page.headers["content-type"] == "text/html; charset=utf-8")
        #expect(page.text.contains("<form action=\"/auth/accept-invite\""))
        // The address holds the token.
        #expect(!page.text.contains(link.queryItems?.first?.value ?? ""))
        #expect(page.headers["cache-control"] == "no-store")
        #expect(page.headers["referrer-policy"] == "no-referrer")
    }

    @Test(arguments: ["/accept-invite", "/reset-password", "/api/docs/account.js"])
    func isReadOnlyAndRunsNothingOfOthers(_ path: String) async throws {
        let api = try await Contract.host().api

        let page = try await api.get(path)
        let post = try await api.post(path, ["token": "x"])

        #expect(page.status == 200)
        #expect(page.headers["content-security-policy"]?.hasPrefix("default-src 'none'; script-src 'self';") == true)
        #expect(post.status == 405)
        #expect(post.headers["allow"] == "GET, HEAD, OPTIONS")
    }
}
