import Fleet
import Foundation
import Functions
import Manifest
import Postgres

/// How long a page of the ticket list takes by filter and sort, in a small organisation and in a large one.
struct TicketFilters {
    let world: BenchWorld
    let rows: Int

    private static let few = 10_000
    private static let neighbours = 998

    /// An organisation and what its filters name.
    private struct Place {
        let organisation: BenchOrganisation
        let channel: UUID
        let contact: UUID

        func path(_ query: String) -> String {
            let query = query.replacing("CHANNEL", with: "\(channel)".lowercased())
                .replacing("CONTACT", with: "\(contact)".lowercased())
            return "/orgs/\(organisation.id)/tickets?\(query)"
        }
    }

    private static let sorts = ["-lastMessageAt", "lastMessageAt", "-createdAt", "createdAt", "-priority"]

    /// A single filter goes with every sort.
    private static let singles = [
        "", "status=open", "status=closed", "priority=urgent", "channelId=CHANNEL", "assigneeId=me", "assigneeId=none",
        "contactId=CONTACT", "tag=common", "tag=rare", "createdFrom=FROM&createdTo=TO",
    ]

    private static let together = [
        "q=parcel7", "q=word17", "q=hello", "q=hello&sort=createdAt", "q=word17&status=open", "q=hello&tag=rare",
        "q=hello%20word17&sort=-priority",
        "status=open,pending&priority=high,urgent", "status=open&assigneeId=me&tag=common",
        "status=closed&channelId=CHANNEL&assigneeId=none&sort=createdAt",
        "tag=common,rare&priority=low&sort=-createdAt",
        "status=closed&priority=urgent&tag=rare", "contactId=CONTACT&status=open&sort=-priority",
    ]

    func measure() async throws {
        try await world.host(["--all"])
        let postgres = world.postgres()
        try await TicketCrowd.neighbours(Self.neighbours, postgres, progress: { Terminal.error($0) })
        let small = try await fill(postgres, Self.few, "few")
        let large = try await fill(postgres, rows, "many")
        await postgres.shutdown()
        Terminal.error("analysing")
        try await Owner.connected(world.owner) { _ = try await $0.query("VACUUM ANALYZE", timeout: .seconds(1800)) }

        var lines: [[String]] = []
        for filter in Self.singles {
            for sort in Self.sorts {
                let query = filter + (filter.isEmpty ? "" : "&") + "sort=\(sort)"
                lines.append(try await compare(query, small, large))
            }
        }
        for query in Self.together { lines.append(try await compare(query, small, large)) }
        print(Table(["", "p50 of \(Self.few)", "p99", "p50 of \(rows)", "p99", "p99 to p99", ""], rows: lines))
    }

    private func fill(_ postgres: Postgres, _ rows: Int, _ name: String) async throws -> Place {
        let organisation = try await BenchOrganisation.make(in: world, email: "\(name)@example.com")
        let crowd = TicketCrowd(organisation: organisation, rows: rows)
        try await crowd.fill(postgres, progress: { Terminal.error($0) })
        let example = try await crowd.example(postgres)
        return Place(organisation: organisation, channel: example.channel, contact: example.contact)
    }

    private func compare(_ query: String, _ small: Place, _ large: Place) async throws -> [String] {
        let day = Date().addingTimeInterval(-3 * 86_400)
        let style = Date.ISO8601FormatStyle()
        let query = query.replacing("FROM", with: day.formatted(style))
            .replacing("TO", with: day.addingTimeInterval(86_400).formatted(style))
        var loads: [Load] = []
        for place in [small, large] {
            let header = ["Authorization: Bearer \(try await place.organisation.token(in: world))"]
            loads.append(
                try await Load.run(world, path: place.path(query), connections: 2, seconds: 1, headers: header)
            )
        }
        let errors = loads.map(\.errors).reduce(0, +)
        Terminal.error("\(query): p99 \(loads[0].p99.short) and \(loads[1].p99.short) ms")
        return [
            query, loads[0].p50.short, loads[0].p99.short, loads[1].p50.short, loads[1].p99.short,
            (loads[1].p99 / loads[0].p99).short, errors == 0 ? "" : "\(errors) errors",
        ]
    }
}
