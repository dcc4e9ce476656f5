import Foundation
import TestSupport
import Testing

/// Many people at one ticket at once.
@Suite struct ConcurrentChangesTests {
    private static let fields = ["subject", "status", "priority", "assigneeId"]

    @Test func twoHundredChangesOfOneTicketEndInWhatSomeOrderOfThemExplains() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()
        let id = try #require(try await acme.ticket(on: acme.channel()).string("id"))
        let ticket = "\(acme.path)/tickets/\(id)"
        let before = try await acme.api.get(ticket).object

        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<200 {
                group.addTask {
                    let answer =
                        switch number % 4 {
                        case 0:
                            try await acme.api.put(
                                ticket,
                                ["subject": "s\(number)", "priority": Self.priority(number)]
                            )
                        case 1: try await acme.api.put(ticket, ["status": ["open", "pending", "closed"][number % 3]])
                        case 2:
                            try await acme.api.post(
                                ticket + "/assign",
                                ["userId": [acme.user, agent.user][number / 4 % 2]]
                            )
                        default: try await acme.api.post(ticket + "/close")
                        }
                    return answer.status
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        let after = try await acme.api.get(ticket).object
        let entries = try await acme.api.all(acme.path + "/audit-logs", ["entityId": id, "entityType": "ticket"])
            .filter { $0["action"] as? String != "ticket.create" }

        #expect(statuses.allSatisfy { [200, 409].contains($0) }, "\(Set(statuses))")
        // What changes nothing writes nothing, so there are at most as many entries as answers that say 200.
        #expect(!entries.isEmpty && entries.count <= statuses.count { $0 == 200 })
        for field in Self.fields {
            let steps = entries.compactMap { ($0["changes"] as? [String: [String: Any]])?[field] }
            #expect(!steps.isEmpty, "\(field)")
            #expect(
                Self.isOneWay(steps, from: Self.value(field, before), to: Self.value(field, after)),
                "\(field): \(steps)"
            )
        }
    }

    private static func priority(_ number: Int) -> String { ["low", "normal", "high", "urgent"][number / 4 % 4] }

    private static func value(_ field: String, _ ticket: [String: Any]) -> String {
        text(field == "assigneeId" ? (ticket["assignee"] as? [String: Any])?["id"] : ticket[field])
    }

    private static func text(_ value: Any?) -> String {
        switch value {
        case nil, is NSNull: "null"
        case let value?: "\(value)"
        }
    }

    /// Whether the steps, each taken once and in some order, lead from the first value to the last.
    ///
    /// Steps are edges between values; such an order is a path over all of them, which exists where they hang together and
    /// every value is left as often as it is entered, but for the two ends.
    private static func isOneWay(_ steps: [[String: Any]], from first: String, to last: String) -> Bool {
        var balance: [String: Int] = [:]
        var neighbours: [String: Set<String>] = [:]
        for step in steps {
            let (from, to) = (text(step["from"]), text(step["to"]))
            balance[from, default: 0] += 1
            balance[to, default: 0] -= 1
            neighbours[from, default: []].insert(to)
            neighbours[to, default: []].insert(from)
        }
        balance[first, default: 0] -= 1
        balance[last, default: 0] += 1
        var reached: Set = [first]
        var next = [first]
        while let value = next.popLast() {
            for neighbour in neighbours[value] ?? [] where reached.insert(neighbour).inserted { next.append(neighbour) }
        }
        return balance.values.allSatisfy { $0 == 0 } && neighbours.keys.allSatisfy(reached.contains)
    }
}
