import Foundation
import Functions
import Postgres

/// Lists the organisation's tickets, filtered, sorted and searched.
///
/// `list-tickets` in functions.yaml: `GET /orgs/:orgId/tickets`, both roles. One statement in one round trip.
struct ListTickets: HTTPFunction {
    struct Input: Decodable, Sendable {
        let status: [String]?
        let priority: [String]?
        let channelId: [Channel.ID]?
        let tag: [String]?
        let assigneeId: String?
        let contactId: Contact.ID?
        let q: String?
        let createdFrom: QueryTime?
        let createdTo: QueryTime?
        let sort: String?
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(
        query: [
            .optional("status", .list(.choice(Ticket.statuses))),
            .optional("priority", .list(.choice(Ticket.priorities))),
            .optional("channelId", .list(.uuid)),
            .optional("tag", .list(.text(1...50)), doc: "any of them", example: ["refund"]),
            .optional("assigneeId", .idOr(["me", "none"]), doc: "a user's id, `me` or `none`"),
            .optional("contactId", .uuid),
            .optional("q", .text(1...200), doc: "words in the subject, the contact or a message", example: "parcel"),
            .optional("createdFrom", .time, doc: "inclusive"),
            .optional("createdTo", .time, doc: "exclusive"),
            .optional("sort", .choice(TicketFilter.Sort.allCases.map(\.rawValue)), doc: "`-lastMessageAt` unless told"),
        ] + Field.paging
    )

    static let output: OutputDeclaration = .page(of: Ticket.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let me = try context.member()
        let sort = input.sort.flatMap(TicketFilter.Sort.init) ?? .newestMessage
        let filter = TicketFilter(
            statuses: input.status,
            priorities: input.priority?.map(Ticket.rank),
            channels: input.channelId,
            tags: input.tag,
            assignee: try assignee(input.assigneeId, me: me),
            contact: input.contactId,
            words: input.q,
            createdFrom: input.createdFrom,
            createdTo: input.createdTo,
            sort: sort
        )
        let page = try context.page(limit: input.limit, cursor: input.cursor, filters: filter.identity)
        let rows = try await context.query(filter.statement(in: me.organisation, page))
        return try Answer.page(rows, Ticket.record, page, keys: sort.keys)
    }

    private func assignee(_ text: String?, me: Principal) throws -> TicketFilter.Assignee? {
        switch text {
        case nil: return nil
        case "me"?:
            guard let user = try? me.user else {
                throw Failure.invalid(parameter: "assigneeId", "can't be me: an API key is no user")
            }
            return .user(User.ID(user))
        case "none"?: return .nobody
        case let text?: return User.ID(text).map { .user($0) }
        }
    }
}
