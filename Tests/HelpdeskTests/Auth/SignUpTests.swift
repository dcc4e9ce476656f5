import Foundation
import Functions
import Postgres
import Testing

@Suite struct SignUpTests {
    @Test func isLimitedForOneAddress() async throws {
        try await World.with(["SIGNUP_LIMIT_ADDRESS": "2"]) { world in
            func signUp(from address: String?) async throws -> World.Reply {
                let body: JSON = [
                    "organisationName": "Acme", "name": "Jane", "email": .string("\(UUID())@example.com"),
                    "password": "12345678",
                ]
                return try await world.call("sign-up", body: body, from: address)
            }
            for _ in 0..<2 { #expect(try await signUp(from: nil).status == 201) }

            let refused = try await signUp(from: nil)

            #expect(refused.status == 429)
            #expect((1...900).contains(refused.retryAfter ?? 0))
            #expect(try await signUp(from: world.address + "-elsewhere").status == 201)
        }
    }

    @Test func foundsAnOrganisationWithItsAdmin() async throws {
        try await World.with { world in
            let reply = try await world.call(
                "sign-up",
                body: [
                    "organisationName": "Ünder Ground 🚇", "name": "Jane", "email": "Jane@Example.com",
                    "password": "12345678",
                ]
            )

            #expect(reply.status == 201)
            #expect(reply.text("organisation.name") == "Ünder Ground 🚇")
            #expect(reply.text("organisation.slug").hasPrefix("under-ground-"))
            #expect(reply["organisation.settings.reopenWithinHours"] == 24)
            #expect(reply["organisation.settings.quietHours"] == .null)
            #expect(reply.text("user.email") == "Jane@Example.com")
            #expect(reply.text("user.role") == "admin")
            #expect(reply["user.orgId"] == reply["organisation.id"])
            #expect(reply["user.lastLoginAt"] == .null)
            #expect(reply["expiresIn"] == 900)
            let jane = try world.caller(reply, email: "jane@example.com")
            #expect(try await world.call("get-me", as: jane).status == 200)
            #expect(try await world.audited(jane.organisation) == ["auth.signup"])
        }
    }

    @Test func refusesATakenAddressInAnyCase() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let reply = try await world.call(
                "sign-up",
                body: [
                    "organisationName": "Other", "name": "Joe", "email": .string(jane.email.uppercased()),
                    "password": "12345678",
                ]
            )

            #expect(reply.status == 409)
            #expect(try await world.column("SELECT count(*)::text FROM organisations") == ["1"])
        }
    }

    @Test func namesEveryFaultAtOnce() async throws {
        try await World.with { world in
            let reply = try await world.call(
                "sign-up",
                body: ["organisationName": "  ", "email": "nobody", "password": "short", "extra": 1]
            )

            #expect(reply.status == 422)
            #expect(
                Set(reply.faults.map { $0.split(separator: " ")[0] })
                    == ["/organisationName", "/name", "/email", "/password", "/extra"]
            )
        }
    }
}
