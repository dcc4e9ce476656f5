import Foundation
import Functions
import Postgres
import Testing

/// A ticket under any sequence of what may happen to it, held against a model of four lines.
@Suite struct TicketStatesTests {
    private enum Step: String, CaseIterable {
        case close, open, pending, closed, answer, note, message
    }

    @Test(arguments: [UInt64](1...8))
    func anySequenceEndsWhereTheModelDoes(seed: UInt64) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let ticket = try await world.ticket(jane, on: web)
            var numbers = SeededNumbers(seed)
            var status = "open"
            var taken: [String] = []

            for _ in 0..<40 {
                let step = Step.allCases.randomElement(using: &numbers) ?? .note
                taken.append(step.rawValue)
                try await Self.take(step, ticket, web, world, jane)
                let entries = try await world.audited(jane.organisation).count
                let before = status
                status = Self.next(status, step)
                let shown = try await world.show(ticket, as: jane)

                #expect(shown["status"] == .string(status), "\(taken)")
                #expect((shown["closedAt"] == .null) == (status != "closed"), "\(taken)")
                // The same once more: what is so already is left alone.
                if [.close, .open, .pending, .closed].contains(step) {
                    try await Self.take(step, ticket, web, world, jane)
                    #expect(try await world.audited(jane.organisation).count == entries, "\(before), \(taken)")
                }
                guard shown["status"] == .string(status) else { return }
            }
            #expect(try await world.column("SELECT count(*) FROM tickets") == ["1"])
        }
    }

    private static func next(_ status: String, _ step: Step) -> String {
        switch step {
        case .close, .closed: "closed"
        case .open: "open"
        case .pending: "pending"
        case .answer: status == "closed" ? "open" : status
        case .note: status
        case .message: "open"
        }
    }

    private static func take(_ step: Step, _ ticket: String, _ web: String, _ world: World, _ jane: Caller) async throws
    {
        let path = ["ticketId": ticket]
        switch step {
        case .close: #expect(try await world.call("close-ticket", as: jane, path: path).status == 200)
        case .open, .pending, .closed:
            let body: JSON = ["status": .string(step.rawValue)]
            #expect(try await world.call("update-ticket", as: jane, path: path, body: body).status == 200)
        case .answer: #expect(try await world.send("an answer", ticket, as: jane).status == 201)
        case .note:
            let body: JSON = ["text": "a note", "note": true]
            #expect(try await world.call("send-message", as: jane, path: path, body: body).status == 201)
        case .message: #expect(try await world.receive(web, .init(text: "a message")) == [.done()])
        }
    }
}

/// SplitMix64: the same numbers for the same seed, so that what failed can be seen again.
private struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
