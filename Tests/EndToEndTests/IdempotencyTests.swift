import Foundation
import Postgres
import TestSupport
import Testing

/// The same POST more than once, under an Idempotency-Key.
@Suite struct IdempotencyTests {
    /// A ticket to post answers to.
    private struct World {
        let host: RunningHost
        let acme: Organisation
        let path: String

        init() async throws {
            host = try await RunningHost()
            acme = try await Organisation.signUp(host.api)
            let channel = try await acme.channel()
            _ = try await host.api.webhook(channel, from: "+12345678901", "Hello", id: "m1")
            let acme = acme
            let ticket = try await eventually { try await acme.tickets().first }
            path = "/orgs/\(acme.id)/tickets/\(try #require(ticket["id"] as? String))/messages"
        }

        func post(_ text: String, key: String) async throws -> APIClient.Answer {
            try await acme.api.post(path, ["text": text], headers: ["Idempotency-Key": key])
        }

        /// Posts until there is an answer to keep: a host that is away, or a run that a crash cut off, is waited for.
        func insist(_ text: String, key: String) async throws -> APIClient.Answer {
            try await eventually(within: .seconds(60)) {
                let answer = try? await post(text, key: key)  // a connection that fails tells nothing
                guard let answer, ![409, 503].contains(answer.status) else { return nil }
                return answer
            }
        }

        func rows(_ text: String) async throws -> Int {
            try await host.database.integer("SELECT count(*) AS value FROM messages WHERE text = \(text)")
        }
    }

    @Test func aRepeatedPostGetsTheFirstAnswerAndAnotherBodyIsRefused() async throws {
        let world = try await World()

        let first = try await world.post("once", key: "k1")
        let again = try await world.post("once", key: "k1")
        let other = try await world.post("twice", key: "k1")
        let fault = try await world.post("", key: "k2")
        let sameFault = try await world.post("", key: "k2")

        #expect(first.status == 201)
        #expect(first.headers["idempotency-replayed"] == nil)
        #expect(again.status == 201)
        #expect(again.headers["idempotency-replayed"] == "true")
        #expect(again.body == first.body)
        #expect(other.status == 422)
        #expect(fault.status == 422)
        #expect(sameFault.body == fault.body)
        #expect(sameFault.headers["idempotency-replayed"] == "true")
        #expect(try await world.rows("once") == 1)
        #expect(try await world.rows("twice") == 0)
        world.host.stop()
    }

    @Test func manyAtOnceRunOnce() async throws {
        let world = try await World()

        let answers = try await withThrowingTaskGroup(of: APIClient.Answer.self) { group in
            for _ in 0..<20 { group.addTask { try await world.post("at once", key: "k1") } }
            return try await group.reduce(into: []) { $0.append($1) }
        }

        #expect(answers.filter { $0.status == 201 && $0.headers["idempotency-replayed"] == nil }.count == 1)
        #expect(answers.allSatisfy { [201, 409].contains($0.status) })
        #expect(Set(answers.filter { $0.status == 201 }.map(\.body)).count == 1)
        #expect(try await world.rows("at once") == 1)
        world.host.stop()
    }

    @Test func aCrashBetweenTheCommitAndItsAnswerIsMadeGoodByTheKey() async throws {
        let world = try await World()
        // The commit waits for a lock of ours, and meanwhile the host is killed: the server goes on without it.
        try await world.host.database.script(
            """
            CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql
                AS $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER wait_at_commit AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW WHEN (NEW.text = 'lost answer') EXECUTE FUNCTION wait_at_commit();
            """
        )

        let owner = world.host.database.owner()
        let unanswered = try await owner.withConnection { connection in
            _ = try await connection.query("SELECT pg_advisory_lock(42)")
            let lost = Task { try await world.post("lost answer", key: "k1") }
            _ = try await eventually {
                try await world.host.database.integer(
                    "SELECT count(*) AS value FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted"
                ) == 1 ? true : nil
            }
            world.host.kill()
            _ = try await connection.query("SELECT pg_advisory_unlock(42)")
            return try? await lost.value  // its connection ended with the host
        }
        await owner.shutdown()
        _ = try await eventually { try await world.rows("lost answer") == 1 ? true : nil }
        try await world.host.start()
        let answer = try await world.post("lost answer", key: "k1")
        let stored = try await world.acme.api.get(world.path)

        #expect(unanswered == nil)
        #expect(answer.status == 201)
        #expect(answer.headers["idempotency-replayed"] == "true")
        #expect(answer.string("id") == stored.data.last?["id"] as? String)
        #expect(try await world.rows("lost answer") == 1)
        world.host.stop()
    }

    @Test func crashesAtRandomMomentsLeaveOneRowAndOneAnswerForEachKey() async throws {
        let world = try await World()
        let keys = (0..<3).flatMap { round in (0..<30).map { "key \(round) \($0)" } }

        var before: [String: Data] = [:]
        for round in 0..<3 {
            let inFlight = Task {
                await withTaskGroup(of: (String, APIClient.Answer?).self) { group in
                    for key in keys[(round * 30)..<(round * 30 + 30)] {
                        group.addTask { (key, try? await world.post(key, key: key)) }  // killed: no answer
                    }
                    return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
                }
            }
            try await Task.sleep(for: .milliseconds(Int.random(in: 20..<250)))
            world.host.kill()
            for (key, answer) in await inFlight.value where answer.status == 201 { before[key] = answer.body }
            try await world.host.start()
        }
        let answers = try await withThrowingTaskGroup(of: (String, APIClient.Answer).self) { group in
            for key in keys { group.addTask { (key, try await world.insist(key, key: key)) } }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        let counts = try await world.host.database.texts(
            """
            SELECT text || ': ' || count(*) AS value FROM messages WHERE direction = 'outbound' GROUP BY text HAVING count(*) <> 1
            """
        )

        #expect(answers.values.allSatisfy { $0.status == 201 })
        for (key, body) in before { #expect(answers[key]?.body == body, "\(key)") }
        for key in keys { #expect(try await world.insist(key, key: key).body == answers[key]?.body, "\(key)") }
        #expect(counts == [])
        #expect(
            try await world.host.database.integer("SELECT count(*) AS value FROM messages WHERE direction = 'outbound'")
                == keys.count
        )
        world.host.stop()
    }
}
