import TestSupport
import Testing

@Suite struct IdempotencyContractTests {
    @Test func theSameKeyAndBytesReplayTheFirstAnswer() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel()
        let body: [String: Any] = ["channelId": channel, "contact": ["handle": "jane"]]
        func post(_ path: String, _ body: Any, as api: APIClient? = nil) async throws -> APIClient.Answer {
            try await (api ?? acme.api).post(acme.path + path, body, headers: ["Idempotency-Key": "k"])
        }

        let first = try await post("/tickets", body)
        let again = try await post("/tickets", body)

        #expect(first.status == 201)
        #expect(first.headers["idempotency-replayed"] == nil)
        #expect(again.status == 201)
        #expect(again.body == first.body)
        #expect(again.headers["idempotency-replayed"] == "true")
        #expect(try await acme.tickets().count == 1)
        #expect(try await post("/tickets", ["channelId": channel]).problem == "422 Idempotency-Key")
        let ticket = "/tickets/\(first.string("id") ?? "")"
        let agent = try await acme.agent()
        #expect(try await post(ticket + "/messages", ["text": "x"]).status == 201)
        let others = try await post(ticket + "/messages", ["text": "x"], as: agent.api)
        #expect(others.headers["idempotency-replayed"] == nil)
        #expect(try await acme.messages(of: first.string("id") ?? "").count == 2)
    }

    @Test func refusalsAreReplayedButNotThoseOfRights() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()
        func twice(_ path: String, _ body: Any, as api: APIClient? = nil) async throws -> [String] {
            let api = api ?? acme.api
            let headers = ["Idempotency-Key": path]
            _ = try await api.post(acme.path + path, body, headers: headers)
            let again = try await api.post(acme.path + path, body, headers: headers)
            return [String(again.status), again.headers["idempotency-replayed"] ?? "-"]
        }

        #expect(try await twice("/channels", ["type": "x"]) == ["422", "true"])
        #expect(try await twice("/tickets/\(Contract.unknownId)/close", [:]) == ["404", "true"])
        #expect(try await twice("/channels", [:], as: agent.api) == ["403", "-"])
    }

    /// Broken JSON, no JSON at all, JSON that is no object, and too much.
    @Test(arguments: [
        ("{", "application/json", "400"), ("{}", "text/plain", "415"), ("[]", "application/json", "422 "),
        (String(repeating: " ", count: 1 << 20) + "{}", "application/json", "413"),
    ])
    func whatCannotBeReadIsRefusedInTheSameWordsAgain(bytes: String, type: String, problem: String) async throws {
        let acme = try await Contract.admin()
        func post(_ bytes: String) async throws -> APIClient.Answer {
            try await acme.api.send(
                "POST",
                acme.path + "/channels",
                bytes: bytes,
                headers: ["Content-Type": type, "Idempotency-Key": "k"]
            )
        }

        let first = try await post(bytes)
        let again = try await post(bytes)
        let other = try await acme.api.post(
            acme.path + "/channels",
            ["type": "mock", "name": "n"],
            headers: ["Idempotency-Key": "k"]
        )

        #expect(first.problem == problem)
        #expect(again.status == first.status && again.body == first.body)
        #expect(again.headers["idempotency-replayed"] == "true")
        #expect(other.problem == "422 Idempotency-Key")
    }

    @Test func aKeyIs1To255PrintableCharacters() async throws {
        let acme = try await Contract.admin()
        func post(_ key: String) async throws -> APIClient.Answer {
            try await acme.api.post(
                acme.path + "/channels",
                ["type": "mock", "name": "n"],
                headers: ["Idempotency-Key": key]
            )
        }

        #expect(try await post(String(repeating: "x", count: 255)).status == 201)
        #expect(try await post("a b~!").status == 201)
        #expect(try await post(String(repeating: "x", count: 256)).problem == "422 Idempotency-Key")
    }

    @Test func ofManyAtOnceOneRuns() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel()

        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    try await acme.api.post(
                        acme.path + "/tickets",
                        ["channelId": channel, "contact": ["handle": "jane"]],
                        headers: ["Idempotency-Key": "at once"]
                    ).status
                }
            }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }

        #expect(statuses.isSubset(of: [201, 409]))
        #expect(try await acme.tickets().count == 1)
    }
}
