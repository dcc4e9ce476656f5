import Connectors
import Functions
import Queue

/// Takes what a provider tells of a channel and queues it.
///
/// `receive-webhook` in functions.yaml: `POST /webhook/:channelId`, public; the connector checks the signature over the
/// bytes as they came. Answered once everything is in the queue and not before, without touching the database: storing is
/// ``ReceiveMessage``'s and ``ApplyChange``'s. A provider that sends again what was queued already does no harm.
///
/// - Throws: ``Failure/notFound(_:)`` for an unknown, deleted or disabled channel; ``Failure/unauthorized(_:)`` for a bad
///   signature; ``Failure/unreadable(_:)`` for what is not the channel's format. While Redis is away its error tells the
///   host to answer 503, so that the provider sends again.
struct ReceiveWebhook: HTTPFunction {
    struct Input: Decodable, Sendable {
        let channelId: Channel.ID
    }

    static let input = Shape<Input>(path: [.required("channelId", .uuid)], body: .raw)

    static let output: OutputDeclaration = .object(
        Record("WebhookReceipt", [.init("received", .integer, doc: "how many events were queued")])
    )

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let channel = try await ConnectedChannel.receiving(input.channelId, in: context)
        let webhook = Webhook(headers: context.request.headers, body: context.request.body)
        let events = try channel.events(in: webhook)
        var (messages, changes): ([NewJob], [NewJob]) = ([], [])
        for event in events {
            switch event {
            case .message(let message):
                messages.append(ReceiveMessage.job(for: message, on: channel, trace: context.requestId))
            case .change(let change):
                changes.append(ApplyChange.job(for: change, on: channel, trace: context.requestId))
            case .unreadable(let raw, let reason):
                changes.append(ApplyChange.job(keeping: raw, reason, on: channel, trace: context.requestId))
            }
        }
        // Messages first: what happened to them is told behind them.
        if !messages.isEmpty { _ = try await context.services.producer.add(messages, to: ReceiveMessage.queue) }
        if !changes.isEmpty { _ = try await context.services.producer.add(changes, to: ApplyChange.queue) }
        return Answer.object { $0.member("received", events.count) }
    }
}
