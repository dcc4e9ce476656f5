import Functions

/// Whom a campaign is sent to, and what became of each, in the order of the upload.
///
/// `list-recipients` in functions.yaml: `GET /orgs/:orgId/campaigns/:id/recipients`, both roles.
///
/// - Throws: ``Failure/notFound(_:)`` when the campaign is absent or another organisation's.
struct ListRecipients: HTTPFunction {
    struct Input: Decodable, Sendable {
        let id: Campaign.ID
        let status: [String]?
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(
        path: [.required("id", .uuid)],
        query: [.optional("status", .list(.choice(Recipient.statuses)))] + Field.paging
    )
    static let output: OutputDeclaration = .page(of: Recipient.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let page = try context.page(
            limit: input.limit,
            cursor: input.cursor,
            filters: [input.status?.joined(separator: ",")]
        )
        let store = CampaignStore(try context.member().organisation)
        let rows = try await context.run([
            store.find(input.id),
            store.recipients(of: input.id, statuses: input.status, after: page.after?.first, limit: page.limit + 1),
        ])
        guard !rows[0].isEmpty else { throw Failure.notFound("campaign") }
        return try Answer.page(rows[1], Recipient.record, page, keys: ["cursor_position"])
    }
}
