import Functions

/// The organisation's campaigns, newest first.
///
/// `list-campaigns` in functions.yaml: `GET /orgs/:orgId/campaigns`, both roles.
struct ListCampaigns: HTTPFunction {
    struct Input: Decodable, Sendable {
        let status: [String]?
        let channelId: Channel.ID?
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(
        query: [
            .optional("status", .list(.choice(Campaign.statuses))), .optional("channelId", .uuid),
        ] + Field.paging
    )
    static let output: OutputDeclaration = .page(of: Campaign.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let page = try context.page(
            limit: input.limit,
            cursor: input.cursor,
            filters: [input.status?.joined(separator: ","), input.channelId?.description]
        )
        let store = CampaignStore(try context.member().organisation)
        let rows = try await context.query(store.list(statuses: input.status, channel: input.channelId, page))
        return try Answer.page(rows, Campaign.record, page, keys: ["cursor_at", "cursor_id"])
    }
}
