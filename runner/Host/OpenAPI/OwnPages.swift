import Functions

/// The host's own pages in the document, beside the functions'.
enum OwnPages {
    static let tag = "Operations"

    static func paths(_ components: inout Components) -> [JSON.Member] {
        let health = components.reference(Record("Health", [.init("status", .choice(["ok"]))]))
        let ready = components.reference(
            Record(
                "Readiness",
                [
                    .init("status", .choice(["ready", "unavailable"])),
                    .init("away", .texts, doc: "`postgres`, `redis`, `migrations` or `draining`"),
                    .init(
                        "durability",
                        .choice(["strong", "weak"]),
                        optional: true,
                        doc: "of Redis, while it is there"
                    ),
                ]
            )
        )
        return [
            page("/health", "health", "Tells that the process is up", [200: ("application/json", health)]),
            page(
                "/ready",
                "ready",
                "Tells whether it can serve",
                [200: ("application/json", ready), 503: ("application/json", ready)]
            ),
            page(
                "/metrics",
                "metrics",
                "Figures for Prometheus; from another machine with METRICS_TOKEN as bearer token",
                [200: ("text/plain", ["type": "string"])],
                failures: [401]
            ),
            page("/openapi.json", "openapi", "This document", [200: ("application/json", ["type": "object"])]),
            page(
                "/api/docs",
                "docs",
                "A page that explains and calls the API",
                [200: ("text/html", ["type": "string"])]
            ),
            page(
                "/accept-invite",
                "accept-invite-page",
                "The form that an invite's link leads to",
                [200: ("text/html", ["type": "string"])]
            ),
            page(
                "/reset-password",
                "reset-password-page",
                "The form that the mail for a forgotten password leads to",
                [200: ("text/html", ["type": "string"])]
            ),
        ]
    }

    private static func page(
        _ path: String,
        _ identifier: String,
        _ summary: String,
        _ answers: KeyValuePairs<Int, (type: String, schema: JSON)>,
        failures: [Int] = []
    ) -> JSON.Member {
        let responses = answers.map { status, answer in
            var headers: [JSON.Member] = [.init("X-Request-Id", ["$ref": "#/components/headers/RequestId"])]
            if status == 503 { headers.append(.init("Retry-After", ["$ref": "#/components/headers/RetryAfter"])) }
            return JSON.Member(
                String(status),
                [
                    "description": .string(status == 200 ? "It is so." : "Not now."), "headers": .object(headers),
                    "content": .object([.init(answer.type, ["schema": answer.schema])]),
                ]
            )
        }
        return JSON.Member(
            path,
            [
                "get": [
                    "operationId": .string(identifier), "summary": .string(summary), "tags": [.string(tag)],
                    "security": [], "parameters": [["$ref": "#/components/parameters/RequestId"]],
                    "responses": .object(responses + failures.map { .init(String($0), Problem.reference($0)) }),
                ]
            ]
        )
    }
}
