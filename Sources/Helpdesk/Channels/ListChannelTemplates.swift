import Functions
import Postgres

/// The message templates of a channel's account as they were last synced.
///
/// `list-channel-templates` in functions.yaml: `GET /orgs/:orgId/channels/:channelId/templates`, both roles. No connector syncs templates
/// yet, so the list is empty.
///
/// - Throws: ``Failure/notFound(_:)`` when the channel is absent, deleted or another organisation's.
struct ListChannelTemplates: HTTPFunction {
    struct Input: Decodable, Sendable {
        let channelId: Channel.ID
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(path: [.required("channelId", .uuid)], query: Field.paging)

    static let output: OutputDeclaration = .page(
        of: Record(
            "Template",
            [
                .init("name", .text),
                .init("language", .text, doc: "a locale such as en_US"),
                .init("category", .text),
                .init("status", .text, doc: "as the provider says"),
                .init("components", .json, content: .values),
            ]
        )
    )

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        _ = try context.page(limit: input.limit, cursor: input.cursor)
        let rows = try await context.query(
            """
            SELECT 1
              FROM channels AS c
             WHERE c.org_id = \(try context.member().organisation) AND c.id = \(input.channelId) AND c.deleted_at IS NULL
            """
        )
        guard !rows.isEmpty else { throw Failure.notFound("channel") }
        return Answer.object {
            $0.name("data")
            $0.array { _ in }
            $0.member("nextCursor", String?.none)
        }
    }
}
