import Functions
import Postgres

/// Drafts a campaign: a message on a channel, without recipients yet.
///
/// `create-campaign` in functions.yaml: `POST /orgs/:orgId/campaigns`, admins only. Without a `rateLimit` it gets the channel kind's
/// own; with one that is higher the channel's still holds, but for WhatsApp, which allows some numbers more than others.
///
/// - Throws: ``Failure/invalid(_:)`` for an unknown channel, one that takes no campaigns (LinkedIn has nobody to send to), a
///   free text on WhatsApp, which takes templates only, and a template that the account doesn't have that way.
struct CreateCampaign: HTTPFunction {
    struct Input: Decodable, Sendable {
        let name: String
        let channelId: Channel.ID
        let message: MessageInput
        let rateLimit: RateLimit?

        struct RateLimit: Decodable, Sendable {
            let perSecond: Int?
        }
    }

    static let input = Shape<Input>(
        body: .json([
            .required("name", .text(1...200, .name), example: "Black Friday"),
            .required("channelId", .uuid),
            .required(
                "message",
                .object([MessageInput.text, MessageInput.template]),
                doc:
                    "either a text or a template; `{{name}}` and `{{variables.city|there}}` are filled for each recipient",
                example: ["text": "Hello {{name|there}}, today everything is half price."]
            ),
            .optional(
                "rateLimit",
                .object([.optional("perSecond", .integer(1...10_000), example: 50)]),
                doc: "the channel's own unless told"
            ),
        ]),
        also: MessageInput.checkEither
    )

    static let output: OutputDeclaration = .object(Campaign.record, status: 201)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        guard let content = input.message.content else {
            throw Failure.invalid("/message/text", "is required without a template")
        }
        let message: JSON =
            if let template = content.template { ["template": template] } else { ["text": .string(content.text)] }
        let id = Campaign.ID()
        return try await context.transaction { transaction in
            let kind = try await Self.kind(of: input.channelId, in: transaction)
            if kind == .linkedin {
                throw Failure.invalid("/channelId", "is a LinkedIn channel, which takes no campaigns")
            }
            if kind == .whatsapp, content.template == nil {
                throw Failure.invalid("/message/template", "is required: WhatsApp takes campaigns as templates only")
            }
            var faults = ChannelRules(kind).faults(in: content, at: "/message")
            // What a recipient's text comes to is seen when it is sent.
            faults.removeAll { $0.place == .body("/message/text") }
            let templates = try await transaction.query(
                MessageTemplate.named(content.template, on: "\(input.channelId)", in: transaction.organisation)
            )
            faults += try MessageTemplate.faults(in: content.template, templates, at: "/message")
            guard faults.isEmpty else { throw Failure.invalid(faults) }
            let perSecond = input.rateLimit?.perSecond ?? Campaign.limit(of: kind)
            let store = CampaignStore(transaction.organisation)
            let rows = try await transaction.run([
                """
                INSERT INTO campaigns (org_id, id, name, channel_id, message, per_second)
                VALUES (\(transaction.organisation), \(id), \(input.name), \(input.channelId), \(message.text)::jsonb,
                        \(perSecond))
                """,
                "INSERT INTO campaign_counters (org_id, campaign_id) VALUES (\(transaction.organisation), \(id))",
                transaction.auditing(
                    "campaign.create",
                    id.uuid,
                    changes: [AuditChange("name", from: .null, to: .string(input.name))]
                ),
                store.find(id),
            ])
            return Answer.row(rows[3], Campaign.record, status: 201)
        }
    }

    private static func kind(of channel: Channel.ID, in transaction: Transaction) async throws -> Channel.Kind {
        let rows = try await transaction.query(
            """
            SELECT c.type FROM channels AS c
             WHERE c.org_id = \(transaction.organisation) AND c.id = \(channel) AND c.deleted_at IS NULL
            """
        )
        guard let type = try rows.first?.get("type", as: String.self), let kind = Channel.Kind(rawValue: type) else {
            throw Failure.invalid("/channelId", "is not a channel of this organisation")
        }
        return kind
    }
}
