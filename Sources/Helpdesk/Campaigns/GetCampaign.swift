import Functions

/// One campaign.
///
/// `get-campaign` in functions.yaml: `GET /orgs/:orgId/campaigns/:id`, both roles.
///
/// - Throws: ``Failure/notFound(_:)`` when it is absent or another organisation's.
struct GetCampaign: HTTPFunction {
    struct Input: Decodable, Sendable {
        let id: Campaign.ID
    }

    static let input = Shape<Input>(path: [.required("id", .uuid)])
    static let output: OutputDeclaration = .object(Campaign.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let rows = try await context.query(CampaignStore(try context.member().organisation).find(input.id))
        guard !rows.isEmpty else { throw Failure.notFound("campaign") }
        return Answer.row(rows, Campaign.record)
    }
}
