import Foundation
import TestSupport
import Testing

/// The product's main job, through the real executable.
@Suite struct MainJobTests {
    @Test func aCustomersMessageBecomesATicketAndIsAnswered() async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)
        let channel = try await acme.channel()

        let received = try await host.api.post(
            "/webhook/\(channel)",
            [
                "senderPhone": "+1 (234) 567-890", "senderName": "John Doe", "message": "Hello, I need help",
                "messageId": "m1",
            ]
        )
        let ticket = try await eventually { try await acme.tickets().first }
        let id = try #require(ticket["id"] as? String)
        let posted = try await acme.api.post("/orgs/\(acme.id)/tickets/\(id)/messages", ["text": "How can I help?"])
        let answered = try await eventually { () -> [[String: Any]]? in
            let messages = try await acme.messages(of: id)
            return messages.last?["status"] as? String == "delivered" ? messages : nil
        }

        #expect(received.status == 200)
        #expect(received.object["received"] as? Int == 1)
        #expect(posted.status == 201)
        #expect(answered.map { $0["text"] as? String } == ["Hello, I need help", "How can I help?"])
        #expect(answered.map { $0["direction"] as? String } == ["inbound", "outbound"])
        host.stop()
    }
}
