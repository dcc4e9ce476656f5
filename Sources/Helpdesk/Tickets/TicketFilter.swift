import Foundation
import Functions
import Postgres

/// Which tickets a list shows, and in which order.
///
/// Becomes one statement: the page's ids by the index that fits the sort, then everything else of those few tickets. The
/// texts of the statements are few and stay the same, so that they are prepared once; a limit stands in them as a number
/// because the planner takes a bound one for a tenth of the table.
struct TicketFilter: Sendable {
    enum Assignee: Sendable {
        case user(User.ID)
        case nobody
    }

    enum Sort: String, Sendable, CaseIterable {
        case newestMessage = "-lastMessageAt"
        case oldestMessage = "lastMessageAt"
        case newest = "-createdAt"
        case oldest = "createdAt"
        case mostUrgent = "-priority"
    }

    var statuses: [String]?
    var priorities: [Int]?
    var channels: [Channel.ID]?
    var tags: [String]?
    var assignee: Assignee?
    var contact: Contact.ID?
    var words: String?
    var createdFrom: QueryTime?
    var createdTo: QueryTime?
    var sort: Sort = .newestMessage

    /// What a cursor is bound to.
    var identity: [String?] {
        let assignee: String? =
            switch assignee {
            case .user(let id): id.description
            case .nobody: "none"
            case nil: nil
            }
        return [
            statuses?.joined(separator: ","), priorities.map { "\($0)" }, channels.map { "\($0)" },
            tags.map { JSON.array($0.map(JSON.string)).text }, assignee, contact?.description, words,
            createdFrom.map { "\($0)" }, createdTo.map { "\($0)" }, sort.rawValue,
        ]
    }

    /// Selects ``Ticket/record`` and the columns of ``Sort/keys``, one row more than the page has.
    func statement(in organisation: Organisation.ID, _ page: PageRequest) -> SQL {
        let limit = SQL(stringLiteral: String(page.limit + 1))
        let ids = words.map { hits($0, in: organisation, page, limit) } ?? self.ids(in: organisation, page, limit)
        var statement: SQL = """
            SELECT \(raw: Ticket.record.selectList), \(raw: sort.cursor)
              FROM (\(raw: ids)) AS page
             CROSS JOIN LATERAL (
                   SELECT t.* FROM tickets AS t WHERE t.org_id = \(organisation) AND t.id = page.id OFFSET 0
                   ) AS t
                   \(raw: Ticket.joins)
             ORDER BY page.place, \(raw: sort.order)
             LIMIT \(raw: limit)
            """
        statement.isPlannedForItsValues = words == nil && !hasIndex
        return statement
    }

    /// Whether an index holds just these tickets in this order. Otherwise the way depends on the values: few tickets are sorted, of
    /// many those that come first are looked through.
    private var hasIndex: Bool {
        if tags != nil || createdFrom != nil || createdTo != nil { return false }
        let isByTime = sort != .mostUrgent
        let isByMessage = sort != .newest && sort != .oldest
        // A contact has few tickets, and an index for them.
        let filters = [
            statuses.map { _ in true }, contact.map { _ in true }, assignee.map { _ in isByTime },
            priorities.map { $0.count == 1 && isByMessage }, channels.map { $0.count == 1 && isByTime },
        ].compactMap { $0 }
        return filters.isEmpty || filters == [true]
    }

    /// The page's ids without a search. Several statuses are read one by one and merged: each has an index in the list's
    /// order, which together they have not.
    private func ids(in organisation: Organisation.ID, _ page: PageRequest, _ limit: SQL) -> SQL {
        let statuses = statuses.map { Array(Set($0)).sorted() }
        guard let statuses, statuses.count < Ticket.statuses.count else {
            return part(of: nil, in: organisation, page, limit)
        }
        let parts = statuses.map { part(of: $0, in: organisation, page, limit) }
        return parts.count == 1 ? parts[0] : SQL.joined(parts.map { "(" + $0 + ")" }, separator: " UNION ALL ")
    }

    private func part(of status: String?, in organisation: Organisation.ID, _ page: PageRequest, _ limit: SQL) -> SQL {
        var conditions: [SQL] = ["t.org_id = \(organisation)"]
        if let status { conditions.append("t.status = \(status)") }
        if let priorities {
            conditions.append(
                priorities.count == 1
                    ? "t.priority = \(priorities[0])::smallint" : "t.priority = ANY (\(priorities)::smallint[])"
            )
        }
        if let channels {
            conditions.append(
                channels.count == 1
                    ? "t.channel_id = \(channels[0])" : "t.channel_id = ANY (\(channels.map(\.uuid))::uuid[])"
            )
        }
        switch assignee {
        case .user(let id): conditions.append("t.assignee_id = \(id)")
        case .nobody: conditions.append("t.assignee_id IS NULL")
        case nil: break
        }
        if let contact { conditions.append("t.contact_id = \(contact)") }
        if let tags {
            conditions.append(
                """
                EXISTS (SELECT FROM ticket_tags AS g
                         WHERE g.org_id = \(organisation) AND g.ticket_id = t.id AND g.tag = ANY (\(tags)::text[]))
                """
            )
        }
        if let from = bound(createdFrom, organisation) {
            conditions.append("t.created_at >= \(raw: from)")
            // Follows from the first, which the planner can't know: the oldest messages are those of older tickets.
            if sort == .oldestMessage { conditions.append("t.last_message_at >= \(raw: from)") }
        }
        if let to = bound(createdTo, organisation) { conditions.append("t.created_at < \(raw: to)") }
        if let after = page.after, after.count == sort.keys.count { conditions.append(sort.beyond(after)) }
        return """
            SELECT t.id, 0::bigint AS place
              FROM tickets AS t
             WHERE \(raw: SQL.joined(conditions, separator: " AND "))
             ORDER BY \(raw: sort.order)
             LIMIT \(raw: limit)
            """
    }

    /// The page's ids of a search, which no index under row-level security could answer: see `search_tickets`.
    private func hits(_ words: String, in organisation: Organisation.ID, _ page: PageRequest, _ limit: SQL) -> SQL {
        let user: User.ID? = if case .user(let id) = assignee { id } else { nil }
        let isUnassigned = if case .nobody = assignee { true } else { false }
        let after = page.after.flatMap { $0.count == sort.keys.count ? $0 : nil }
        let priority = sort == .mostUrgent ? after?.first : nil
        return """
            SELECT s.ticket_id AS id, s.place
              FROM search_tickets(
                       \(words)::text, \(statuses)::text[], \(priorities)::smallint[],
                       \(channels?.map(\.uuid))::uuid[], \(tags)::text[], \(user)::uuid, \(isUnassigned)::boolean,
                       \(contact)::uuid, \(raw: bound(createdFrom, organisation) ?? "NULL"),
                       \(raw: bound(createdTo, organisation) ?? "NULL"), \(sort.rawValue)::text,
                       \(priority)::smallint, \(after?.dropLast().last)::timestamptz, \(after?.last)::uuid,
                       \(raw: limit)
                   ) AS s
            """
    }

    private func bound(_ time: QueryTime?, _ organisation: Organisation.ID) -> SQL? {
        time?.sql(zone: "SELECT o.timezone FROM organisations AS o WHERE o.id = \(organisation)")
    }
}

extension TicketFilter.Sort {
    /// The columns that a cursor holds, in the order's order.
    var keys: [String] {
        self == .mostUrgent ? ["cursor_rank", "cursor_at", "cursor_id"] : ["cursor_at", "cursor_id"]
    }

    private var time: SQL {
        switch self {
        case .newest, .oldest: "t.created_at"
        case .newestMessage, .oldestMessage, .mostUrgent: "t.last_message_at"
        }
    }

    /// The same as text, which keeps microseconds.
    var cursor: SQL {
        let plain: SQL = "\(raw: time)::text AS cursor_at, t.id::text AS cursor_id"
        return self == .mostUrgent ? "t.priority::text AS cursor_rank, " + plain : plain
    }

    var order: SQL {
        switch self {
        case .mostUrgent: "t.priority DESC, \(raw: time) DESC, t.id DESC"
        case .newest, .newestMessage: "\(raw: time) DESC, t.id DESC"
        case .oldest, .oldestMessage: "\(raw: time), t.id"
        }
    }

    /// That a ticket comes after the one of these keys.
    func beyond(_ after: [String]) -> SQL {
        switch self {
        case .mostUrgent:
            """
            (t.priority, \(raw: time), t.id) < (\(after[0])::smallint, \(after[1])::timestamptz, \(after[2])::uuid)
            """
        case .newest, .newestMessage: "(\(raw: time), t.id) < (\(after[0])::timestamptz, \(after[1])::uuid)"
        case .oldest, .oldestMessage: "(\(raw: time), t.id) > (\(after[0])::timestamptz, \(after[1])::uuid)"
        }
    }
}
