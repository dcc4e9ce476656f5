import Functions
import Postgres

/// One channel.
///
/// `get-channel` in functions.yaml: `GET /orgs/:orgId/channels/:channelId`, both roles.
///
/// - Throws: ``Failure/notFound(_:)`` when it is absent, deleted or another organisation's.
struct GetChannel: HTTPFunction {
    struct Input: Decodable, Sendable {
        let channelId: Channel.ID
    }

    static let input = Shape<Input>(path: [.required("channelId", .uuid)])
    static let output: OutputDeclaration = .object(Channel.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let store = try ChannelStore(context)
        let rows = try await context.query(store.finding(input.channelId))
        guard !rows.isEmpty else { throw Failure.notFound("channel") }
        return try store.answer(rows)
    }
}
