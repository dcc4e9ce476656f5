import Connectors
import Functions

/// Answers a provider's handshake: that the address is ours and we want its webhooks.
///
/// `verify-webhook` in functions.yaml: `GET /webhook/:channelId`, public; what proves who asks is the connector's business.
///
/// - Throws: ``Failure/notFound(_:)`` for an unknown, deleted or disabled channel; ``Failure/forbidden(_:)`` where the
///   handshake is wrong or the channel has none.
struct VerifyWebhook: HTTPFunction {
    struct Input: Decodable, Sendable {
        let channelId: Channel.ID
    }

    static let input = Shape<Input>(path: [.required("channelId", .uuid)])

    static let output: OutputDeclaration = .other(contentType: "text/plain")

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let channel = try await ConnectedChannel.receiving(input.channelId, in: context)
        guard let answer = try channel.handshake(context.request.query) else {
            throw Failure.forbidden("The handshake is refused.")
        }
        return Answer(status: 200, contentType: answer.contentType, body: Array(answer.body.utf8))
    }
}
