import Foundation
import Functions
import Postgres

/// What a person changes of one ticket.
struct TicketEdit: Sendable {
    var subject: Patch<String> = .unchanged
    var status: String?
    var priority: String?
    var tags: [String]?

    /// Writes it under the ticket's lock, with one audit entry and one event; what changes nothing writes nothing.
    ///
    /// Setting `closed` closes, leaving it reopens; the entry's action tells.
    ///
    /// - Throws: ``Failure/notFound(_:)`` when the ticket is absent or another organisation's.
    func apply(to id: Ticket.ID, in transaction: Transaction) async throws {
        let tickets = TicketStore(transaction.organisation)
        guard let old = try await transaction.query(tickets.lock(id)).first else { throw Failure.notFound("ticket") }
        let oldSubject = try old.optional("subject", as: String.self)
        let oldStatus = try old.get("status", as: String.self)
        let oldPriority = try old.get("priority", as: Int.self)
        let oldTags = try old.get("tags", as: [String].self)
        let newSubject = subject.applied(to: oldSubject)
        let newStatus = status ?? oldStatus
        let newPriority = priority.map(Ticket.rank) ?? oldPriority
        let newTags = tags.map(Ticket.distinct) ?? oldTags

        var changes: [AuditChange] = []
        if JSON.text(newSubject) != .text(oldSubject) {
            changes.append(.init("subject", from: .text(oldSubject), to: .text(newSubject)))
        }
        if newStatus != oldStatus { changes.append(.init("status", from: .string(oldStatus), to: .string(newStatus))) }
        if newPriority != oldPriority {
            let (from, to) = (Ticket.priorities[oldPriority], Ticket.priorities[newPriority])
            changes.append(.init("priority", from: .string(from), to: .string(to)))
        }
        let (from, to) = (JSON.array(oldTags.map(JSON.string)), JSON.array(newTags.map(JSON.string)))
        if from != to { changes.append(.init("tags", from: from, to: to)) }
        guard !changes.isEmpty else { return }

        var statements = [tickets.update(id, subject: newSubject, status: newStatus, priority: newPriority)]
        if from != to { statements += tickets.replaceTags(id, newTags) }
        let action =
            switch (oldStatus, newStatus) {
            case (let old, let new) where old == new: "ticket.update"
            case (_, "closed"): "ticket.close"
            case ("closed", _): "ticket.reopen"
            default: "ticket.update"
            }
        statements.append(transaction.auditing(action, id.uuid, changes: changes))
        let assignee = try old.optional("assignee_id", as: User.ID.self)
        var facts: [JSON.Member] = [.init("fields", .array(changes.map { .string($0.field) }))]
        if newStatus != oldStatus {
            facts.append(.init("status", ["from": .string(oldStatus), "to": .string(newStatus)]))
            facts.append(.init("assigneeId", .text(assignee?.description)))
        }
        if newPriority != oldPriority {
            let (from, to) = (Ticket.priorities[oldPriority], Ticket.priorities[newPriority])
            facts.append(.init("priority", ["from": .string(from), "to": .string(to)]))
        }
        statements.append(transaction.announcing("ticket.updated", id.uuid, facts: .object(facts)))
        _ = try await transaction.run(statements)
    }
}

extension JSON {
    /// The string, or `null` for none.
    static func text(_ value: String?) -> JSON {
        value.map(JSON.string) ?? .null
    }
}
