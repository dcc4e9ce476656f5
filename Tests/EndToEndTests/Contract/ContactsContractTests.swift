import Foundation
import TestSupport
import Testing

@Suite struct ContactsContractTests {
    static let members: Set = [
        "id", "orgId", "name", "phone", "handle", "email", "optedOut", "identities", "createdAt", "updatedAt",
    ]

    /// A customer's message, and the contact that it made.
    private static func contact(_ acme: Organisation, _ channel: String, _ phone: String) async throws -> [String: Any]
    {
        _ = try await acme.api.webhook(channel, from: phone, "Hello from \(phone)", id: UUID().uuidString)
        return try await eventually {
            let query = APIClient.spelled(["q": phone])
            return try await acme.api.get(acme.path + "/contacts?" + query).data.first
        }
    }

    @Test func aContactIsFoundShownAndChanged() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()
        let found = try await Self.contact(acme, acme.channel(), "+14155550100")
        let path = acme.path + "/contacts/" + (found["id"] as? String ?? "")

        let shown = try await agent.api.get(path)
        let changed = try await agent.api.patch(path, ["name": "Kim", "email": "kim@example.com", "optedOut": true])
        let faulty = try await agent.api.patch(path, ["email": "x", "optedOut": NSNull(), "phone": "+1"])
        let tickets = try await agent.api.get(path + "/tickets")

        #expect(shown.status == 200)
        #expect(shown.keys == Self.members)
        #expect(Set(found.keys) == Self.members)
        #expect(shown.string("identities.0.externalId") == "+14155550100")
        #expect(changed.string("name") == "Kim" && changed.object["optedOut"] as? Bool == true)
        #expect(faulty.problem == "422 /email /optedOut /phone")
        #expect(tickets.data.count == 1)
        #expect(try await acme.audited(found["id"] as? String ?? "") == ["contact.update"])
        #expect(try await agent.api.delete(path).problem == "403")
        #expect(try await agent.api.post(path + "/merge", ["intoId": Contract.unknownId]).problem == "403")
    }

    @Test func twoThatAreOnePersonBecomeOne() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel()
        let one = try await Self.contact(acme, channel, "+14155550101")["id"] as? String ?? ""
        let two = try await Self.contact(acme, channel, "+14155550102")["id"] as? String ?? ""
        let path = acme.path + "/contacts/"

        let itself = try await acme.api.post(path + one + "/merge", ["intoId": one])
        let unknown = try await acme.api.post(path + one + "/merge", ["intoId": Contract.unknownId])
        let merged = try await acme.api.post(path + one + "/merge", ["intoId": two])
        _ = try await acme.api.webhook(channel, from: "+14155550101", "Me again", id: UUID().uuidString)
        let messages = try await eventually {
            let messages = try await acme.api.get(path + two + "/tickets").data
            return messages.reduce(0) { $0 + ($1["unreadCount"] as? Int ?? 0) } == 3 ? messages : nil
        }

        #expect(itself.problem == "422 /intoId")
        #expect(unknown.problem == "422 /intoId")
        #expect(merged.status == 200)
        #expect(merged.string("id") == two)
        #expect((merged.object["identities"] as? [[String: Any]])?.count == 2)
        #expect(messages.count == 2)
        #expect(try await acme.api.get(path + one).problem == "404")
        #expect(try await acme.audited(two) == ["contact.merge"])
    }

    @Test func anErasedPersonIsGoneAndTheirAnswersToo() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel()
        let id = try await Self.contact(acme, channel, "+14155550103")["id"] as? String ?? ""
        let path = acme.path + "/contacts/" + id
        let ticket = try await acme.api.get(path + "/tickets").string("data.0.id") ?? ""
        let messages = acme.path + "/tickets/" + ticket + "/messages"
        func post() async throws -> APIClient.Answer {
            try await acme.api.post(messages, ["text": "Dear customer"], headers: ["Idempotency-Key": "k"])
        }
        _ = try await post()

        let erased = try await acme.api.delete(path)

        #expect(erased.status == 202)
        #expect(erased.keys == ["erasureId"])
        #expect(try await acme.api.get(path).problem == "404")
        #expect(try await acme.api.delete(path).problem == "404")
        let left = try await acme.api.get(messages)
        #expect(left.texts("text") == ["", ""])
        let replay = try await post()
        #expect(replay.problem == "409")
        #expect(try await acme.messages(of: ticket).count == 2)
        #expect(try await acme.audited(id) == ["contact.erase"])
        _ = try await acme.api.webhook(channel, from: "+14155550103", "A new life", id: UUID().uuidString)
        let again = try await eventually { try await acme.api.get(acme.path + "/contacts").data.first }
        #expect(again["id"] as? String != id)
    }
}
