import Functions
import Postgres

/// An address of a customer's own that wants to hear what happens in the organisation.
enum WebhookEndpoint {
    typealias ID = Identifier<WebhookEndpoint>

    /// A `webhook_endpoints` row under the alias `w`; never its secret.
    static let record = Record("WebhookEndpoint", columns)

    /// With the secret, which is told when it is made and never again.
    static let recordWithSecret = Record(
        "WebhookEndpointWithSecret",
        columns + [.init("secret", .text, doc: "signs deliveries by the Standard Webhooks scheme; shown this once")]
    )

    private static let columns: [Record.Column] = [
        .init("id", .uuid, "w.id"),
        .init("orgId", .uuid, "w.org_id"),
        .init("url", .text, "w.url"),
        .init("events", .texts, "w.events", doc: "types of events"),
        .init("description", .text, "w.description", nullable: true),
        .init("status", .choice(["active", "disabled"]), "w.status"),
        .init("statusReason", .text, "w.status_reason", nullable: true, doc: "why we disabled it"),
        .init("failingSince", .time, "w.failing_since", nullable: true, doc: "null once a delivery succeeds"),
        .init("createdAt", .time, "w.created_at"),
        .init("updatedAt", .time, "w.updated_at"),
    ]

    static let url = FieldType.url
    static let events = FieldType.list(.choice(EventReader.types), 1...EventReader.types.count)

    /// The types without repetitions, in the order in which they were given.
    static func distinct(_ events: [String]) -> [String] {
        var seen: Set<String> = []
        return events.filter { seen.insert($0).inserted }
    }

    /// One row; none where the organisation has no such endpoint.
    static func finding(_ id: ID, of organisation: Organisation.ID, locked: Bool = false) -> SQL {
        """
        SELECT \(raw: record.selectList)
          FROM webhook_endpoints AS w
         WHERE w.org_id = \(organisation) AND w.id = \(id)
           \(raw: locked ? "FOR UPDATE" : "")
        """
    }

    /// The first row with its secret.
    static func answer(_ rows: PostgresRows, secret: WebhookSecret, status: Int) -> Answer {
        Answer.object(status: status) {
            record.write(membersOf: rows, row: 0, into: &$0)
            $0.member("secret", secret.text)
        }
    }
}

/// What became of telling one endpoint of one event.
enum WebhookDelivery {
    typealias ID = Identifier<WebhookDelivery>

    /// A `webhook_deliveries` row under the alias `d`.
    static let record = Record(
        "WebhookDelivery",
        [
            .init("id", .uuid, "d.id", doc: "the `webhook-id` of each attempt"),
            .init("endpointId", .uuid, "d.endpoint_id"),
            .init("type", .text, "d.type", doc: "of the event"),
            .init("objectId", .uuid, "d.object", doc: "the ticket or message"),
            .init("status", .choice(["pending", "delivered", "failed"]), "d.status"),
            .init("attempts", .integer, "d.attempts"),
            .init(
                "nextAttemptAt",
                .time,
                "CASE WHEN d.status = 'pending' THEN d.next_attempt_at END",
                nullable: true
            ),
            .init("lastAttemptAt", .time, "d.last_attempted_at", nullable: true),
            .init("responseStatus", .integer, "d.response_status", nullable: true, doc: "of the last attempt"),
            .init("error", .text, "d.error", nullable: true, doc: "why the last attempt failed"),
            .init("at", .time, "d.at", doc: "when the event happened"),
            .init("createdAt", .time, "d.created_at"),
            .init("deliveredAt", .time, "d.delivered_at", nullable: true),
        ]
    )
}
