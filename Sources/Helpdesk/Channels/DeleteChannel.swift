import Functions
import Postgres

/// Disconnects a channel for good; its tickets and messages stay.
///
/// `delete-channel` in functions.yaml: `DELETE /orgs/:orgId/channels/:channelId`, admins only. From then on it is 404, its webhook too:
/// at once here, within a second in other processes. What was queued on it fails with `channel_gone`. Its secrets are erased.
///
/// - Throws: ``Failure/notFound(_:)`` when it is absent, deleted already or another organisation's.
struct DeleteChannel: HTTPFunction {
    struct Input: Decodable, Sendable {
        let channelId: Channel.ID
    }

    static let input = Shape<Input>(path: [.required("channelId", .uuid)])
    static let output: OutputDeclaration = .none

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let id = input.channelId
        let answer = try await context.transaction { transaction in
            let deleted = try await transaction.query(
                """
                UPDATE channels
                   SET deleted_at = now(), updated_at = now(), credentials = NULL
                 WHERE org_id = \(transaction.organisation) AND id = \(id) AND deleted_at IS NULL
                """
            )
            guard deleted.affected > 0 else { throw Failure.notFound("channel") }
            _ = try await transaction.run([
                transaction.failingQueued(on: id),
                transaction.auditing("channel.delete", id.uuid),
            ])
            transaction.announceChange(of: id)
            return .nothing
        }
        ChannelDirectory.shared(context.services).forget(id)
        return answer
    }
}
