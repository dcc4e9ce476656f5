import Foundation
import Functions
import Postgres

/// Reads events in commit order, with the objects they are about as the API shows them at that moment.
struct EventReader: Sendable {
    let postgres: Postgres
    let key: [UInt8]

    /// One event, ready to be told.
    struct Event: Sendable {
        let position: EventPosition
        let type: String
        let entity: UUID
        /// `{id, type, at, data}`; the id is the position's token.
        let json: [UInt8]
        let id: String

        /// The same, told at a later place under that place's id.
        func moved(to position: EventPosition, id new: String) -> Event {
            // Neither id has anything to escape.
            let rest = json.dropFirst(#"{"id":""#.utf8.count + id.utf8.count)
            return Event(
                position: position,
                type: type,
                entity: entity,
                json: Array(#"{"id":""#.utf8) + Array(new.utf8) + rest,
                id: new
            )
        }
    }

    struct Page: Sendable {
        let events: [Event]
        /// Behind the last event that was read, told or not.
        let end: EventPosition
        /// Whether there are more than the page has.
        let isFull: Bool
        /// Whether events are there whose turn hasn't come, since a transaction that began earlier still runs.
        let isWaiting: Bool
    }

    /// What is told; anything else in the table is for the roll-ups.
    static let types = ["ticket.created", "ticket.updated", "message.created", "message.updated", "campaign.updated"]

    private static let pageSize = 200

    /// The place behind everything that is certain to be told before now.
    func now(_ organisation: Organisation.ID) async throws -> EventPosition {
        let rows = try await postgres.query("SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin")
        let text = try rows.first?.get("xmin", as: String.self) ?? ""
        // Ids begin at 1, so this is before the first event of that transaction.
        return EventPosition(xid: UInt64(text) ?? 0, id: 0)
    }

    /// Events after a position, and up to another one where that is given.
    func page(
        of organisation: Organisation.ID,
        after: EventPosition,
        through: EventPosition? = nil
    ) async throws -> Page {
        var limit: SQL = ""
        if let through { limit = "AND (e.xid, e.id) <= (\(String(through.xid))::xid8, \(through.id)::bigint)" }
        let results = try await postgres.run([
            OrganisationScope.entry(organisation),
            """
            SELECT e.xid::text AS xid, e.id, e.type, e.entity_id, e.at
              FROM events AS e
             WHERE e.org_id = \(organisation) AND (e.xid, e.id) > (\(String(after.xid))::xid8, \(after.id)::bigint)
               AND e.xid < pg_snapshot_xmin(pg_current_snapshot()) \(raw: limit)
             ORDER BY e.xid, e.id
             LIMIT \(raw: SQL(stringLiteral: String(Self.pageSize)))
            """,
            """
            SELECT EXISTS (SELECT FROM events AS e
                            WHERE e.org_id = \(organisation) AND e.xid >= pg_snapshot_xmin(pg_current_snapshot())) AS waiting
            """,
        ])
        let rows = try results[1].map(Row.init)
        let events = try await described(Self.told(rows), of: organisation)
        return Page(
            events: events,
            end: rows.last?.position ?? after,
            isFull: rows.count == Self.pageSize,
            isWaiting: try results[2].first?.get("waiting", as: Bool.self) ?? false
        )
    }

    /// The newest event of each campaign that changed since a moment and up to a position: what a stream that ended there may have
    /// held back.
    func campaigns(of organisation: Organisation.ID, since moment: Date, through end: EventPosition) async throws
        -> [Event]
    {
        let results = try await postgres.run([
            OrganisationScope.entry(organisation),
            """
            SELECT DISTINCT ON (x.entity_id) x.xid::text AS xid, x.id, x.type, x.entity_id, x.at
              FROM (
                    SELECT e.xid, e.id, e.type, e.entity_id, e.at
                      FROM events AS e
                     WHERE e.org_id = \(organisation) AND (e.xid, e.id) <= (\(String(end.xid))::xid8, \(end.id)::bigint)
                     ORDER BY e.xid DESC, e.id DESC
                     LIMIT \(raw: SQL(stringLiteral: String(Self.pageSize)))
                   ) AS x
             WHERE x.type = 'campaign.updated' AND x.at > \(moment)
             ORDER BY x.entity_id, x.xid DESC, x.id DESC
            """,
        ])
        return try await described(try results[1].map(Row.init), of: organisation)
    }

    /// What is told of these: of a campaign, whose progress is written every second, the newest alone, since all of them would
    /// show the same.
    private static func told(_ rows: [Row]) -> [Row] {
        var newest: [UUID: EventPosition] = [:]
        for row in rows where row.type == "campaign.updated" { newest[row.entity] = row.position }
        return rows.filter { row in
            types.contains(row.type) && (row.type != "campaign.updated" || newest[row.entity] == row.position)
        }
    }

    /// With the objects as they are now, read at once; one that is gone is told of no more.
    func described(_ rows: [Row], of organisation: Organisation.ID) async throws -> [Event] {
        guard !rows.isEmpty else { return [] }
        let tickets = Array(Set(rows.filter { $0.type.hasPrefix("ticket.") }.map(\.entity)))
        let messages = Array(Set(rows.filter { $0.type.hasPrefix("message.") }.map(\.entity)))
        let campaigns = Array(Set(rows.filter { $0.type.hasPrefix("campaign.") }.map(\.entity)))
        let results = try await postgres.run([
            OrganisationScope.entry(organisation),
            """
            SELECT \(raw: Ticket.record.selectList), t.id AS object_id
              FROM tickets AS t
                   \(raw: Ticket.joins)
             WHERE t.org_id = \(organisation) AND t.id = ANY (\(tickets)::uuid[])
            """,
            """
            SELECT \(raw: Message.record.selectList), m.id AS object_id
              FROM messages AS m
             WHERE m.org_id = \(organisation) AND m.id = ANY (\(messages)::uuid[])
            """,
            """
            SELECT \(raw: Campaign.record.selectList), c.id AS object_id
              FROM \(raw: Campaign.source)
             WHERE c.org_id = \(organisation) AND c.id = ANY (\(campaigns)::uuid[])
            """,
        ])
        var objects: [UUID: [UInt8]] = [:]
        let parts = [(results[1], Ticket.record), (results[2], Message.record), (results[3], Campaign.record)]
        for (rows, record) in parts {
            for (index, row) in rows.enumerated() {
                var writer = JSONWriter(capacity: 1024)
                record.write(rows, row: index, into: &writer)
                objects[try row.get("object_id")] = writer.bytes
            }
        }
        return rows.compactMap { row in
            guard let object = objects[row.entity] else { return nil }
            let id = row.position.token(at: Int64(row.at.timeIntervalSince1970), for: organisation, key: key)
            var writer = JSONWriter(capacity: object.count + 256)
            writer.object {
                $0.member("id", id)
                $0.member("type", row.type)
                $0.member("at", row.at)
                $0.name("data")
                $0.raw(object)
            }
            return Event(position: row.position, type: row.type, entity: row.entity, json: writer.bytes, id: id)
        }
    }

    /// An event as the table has it.
    struct Row: Sendable {
        let position: EventPosition
        let type: String
        let entity: UUID
        let at: Date

        init(position: EventPosition, type: String, entity: UUID, at: Date) {
            self.position = position
            self.type = type
            self.entity = entity
            self.at = at
        }

        init(_ row: PostgresRow) throws {
            let xid: String = try row.get("xid")
            position = EventPosition(xid: UInt64(xid) ?? 0, id: try row.get("id"))
            type = try row.get("type")
            entity = try row.get("entity_id")
            at = try row.get("at")
        }
    }
}

/// What a statement that runs now sees: the transactions that had committed.
struct EventSnapshot: Sendable {
    private let xmin: UInt64
    private let xmax: UInt64
    private let running: Set<UInt64>

    /// - Parameter text: `xmin:xmax:xip,…` as PostgreSQL prints a `pg_snapshot`.
    init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, let xmin = UInt64(parts[0]), let xmax = UInt64(parts[1]) else { return nil }
        self.xmin = xmin
        self.xmax = xmax
        running = Set(parts[2].split(separator: ",").compactMap { UInt64($0) })
    }

    func sees(_ xid: UInt64) -> Bool { xid < xmin || (xid < xmax && !running.contains(xid)) }

    static func take(_ postgres: Postgres) async throws -> EventSnapshot? {
        let rows = try await postgres.query("SELECT pg_current_snapshot()::text AS snapshot")
        return try rows.first.flatMap { EventSnapshot(try $0.get("snapshot")) }
    }
}
