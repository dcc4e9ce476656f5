import Functions

/// Tells what happens in the organisation while it happens.
///
/// `stream-events` in functions.yaml: `GET /orgs/:orgId/events`, both roles. Server-sent events of tickets and messages, which
/// both roles may read, from now on or after `Last-Event-ID`; one that is older than 24 hours or unknown gets a `reset`
/// first. Ends with the token or the session. Browsers, whose EventSource sends no headers, give the token as
/// `?access_token=`.
struct StreamEvents: HTTPFunction {
    static let input = Shape<NoInput>.none

    static let output: OutputDeclaration = .events(
        Record(
            "Event",
            [
                .init("id", .text, doc: "for `Last-Event-ID`"),
                .init("type", .choice(EventReader.types)),
                .init("at", .time),
                .init("data", .json, content: .map, doc: "the ticket, message or campaign as it is now"),
            ]
        )
    )

    func handle(_ input: NoInput, in context: HTTPContext) async throws -> Answer {
        let scope = try context.scope()
        // A stream that is refused says so with a status, not by ending.
        try await scope.verify()
        let stream = try await EventStream(
            scope,
            expires: try context.member().expiresAt,
            after: context.request.header("last-event-id").flatMap { $0.isEmpty ? nil : $0 }
        )
        return Answer(
            status: 200,
            contentType: "text/event-stream",
            headers: [("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")],
            stream: stream
        )
    }
}
