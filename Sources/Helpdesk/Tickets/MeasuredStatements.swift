import Functions
package import Postgres

/// Statements of hot endpoints as plain SQL, so that `runner bench` has pgbench run just what the product runs.
package enum MeasuredStatements {
    /// The first page of an organisation's tickets, newest message first, with its values written out.
    package static func ticketList(of organisation: String) throws -> String {
        guard let id = Tenant.ID(organisation) else { throw Failure.notFound("organisation") }
        let filter = TicketFilter(
            statuses: nil,
            priorities: nil,
            channels: nil,
            tags: nil,
            assignee: nil,
            contact: nil,
            words: nil,
            createdFrom: nil,
            createdTo: nil,
            sort: .newestMessage
        )
        let page = try PageRequest(limit: nil, cursor: nil, scope: "", key: [])
        return filter.statement(in: id, page).writtenOut
    }

    /// What an upload of recipients runs: the table that it makes, the COPY into that, and the rest.
    package static func upload(
        to campaign: String,
        on channel: String,
        of organisation: String
    ) throws -> (table: SQL, copy: SQL, rest: [SQL]) {
        guard let id = Tenant.ID(organisation), let campaign = Campaign.ID(campaign), let channel = Channel.ID(channel)
        else { throw Failure.notFound("campaign") }
        let statements = UploadStatements(organisation: id, campaign: campaign, channel: channel, total: 0)
        return (UploadStatements.table, UploadStatements.copy, statements.all)
    }
}

extension SQL {
    /// The text with its values as literals on one line.
    fileprivate var writtenOut: String {
        var text = text.split(whereSeparator: \.isNewline).joined(separator: " ")
        for (index, parameter) in parameters.enumerated().reversed() {
            let literal = parameter.text.map { "'\($0.replacing("'", with: "''"))'" } ?? "NULL"
            text = text.replacing("$\(index + 1)", with: literal)
        }
        return text
    }
}
