import Foundation
import Postgres
import TestSupport
import Testing

/// Server-sent events over real connections, between processes and through crashes.
@Suite struct EventStreamTests {
    @Test func tellsWhatHappensFromNowOnAsTheAPIShowsIt() async throws {
        let organisation = try await Contract.admin()
        let channel = try await organisation.channel()
        _ = try await organisation.ticket(on: channel)
        let listener = try await Self.listener(to: organisation)

        let ticket = try await organisation.ticket(on: channel, ["subject": "A parcel", "message": ["text": "Hello"]])

        let id = ticket.string("id") ?? ""
        let created = try await Self.event("ticket.created", in: listener)
        #expect(listener.text.hasPrefix("HTTP/1.1 200"))
        #expect(listener.text.lowercased().contains("content-type: text/event-stream"))
        #expect(created.string("type") == "ticket.created")
        #expect(created.string("id") == created.id)
        #expect(created.string("data.id") == id)
        #expect(created.string("data.subject") == "A parcel")
        #expect(created.string("data.contact.name") == "Jane")
        let message = try await Self.event("message.created", in: listener)
        #expect(message.string("data.ticketId") == id)
        #expect(message.string("data.text") == "Hello")
        let delivered = try await eventually(within: .seconds(60)) {
            listener.events.last { $0.type == "message.updated" && $0.string("data.status") == "delivered" }
        }
        #expect(delivered.string("data.id") == message.string("data.id"))
        // The ticket of before is not told of.
        #expect(listener.events.filter { $0.type == "ticket.created" }.count == 1)
    }

    @Test func tellsNothingOfAnotherOrganisation() async throws {
        let organisation = try await Contract.admin()
        let other = try await Contract.admin()
        let listener = try await Self.listener(to: organisation)

        let foreign = try await other.ticket(on: other.channel()).string("id") ?? ""
        let own = try await organisation.ticket(on: organisation.channel()).string("id") ?? ""

        let created = try await Self.event("ticket.created", in: listener)
        #expect(created.string("data.id") == own)
        #expect(!listener.text.contains(foreign))
        let refused = try await organisation.api.get("/orgs/\(other.id)/events")
        #expect(refused.problem == "403")
    }

    @Test func resumesWithoutGapOrRepeatAfterACrash() async throws {
        let first = try await RunningHost()
        let second = try await RunningHost(database: first.database, redisURL: first.redisURL)
        let organisation = try await Organisation.signUp(second.api)
        let token = organisation.api.token
        let path = try await organisation.ticketPath(on: organisation.channel())
        let events = "/orgs/\(organisation.id)/events"
        let listener = try await EventListener(first.api, events, token: token)
        let start = try await first.database.integer("SELECT coalesce(max(id), 0)::int AS value FROM events")

        // Writers at once, and in between transactions that began early and commit late.
        async let late: Void = Self.commitLate(organisation.id, first.database, times: 6)
        try await withThrowingTaskGroup { group in
            for writer in 0..<4 {
                group.addTask {
                    for note in 0..<15 {
                        _ = try await organisation.api.post(
                            path + "/messages",
                            ["text": "\(writer) \(note)", "note": true]
                        )
                    }
                }
            }
            group.addTask {
                _ = try await eventually(within: .seconds(60)) { listener.events.count >= 10 ? true : nil }
                first.kill()
            }
            try await group.waitForAll()
        }
        try await late
        let resumed = try await EventListener(second.api, events, token: token, lastEventId: listener.lastEventId)
        let written = try await first.database.texts(
            """
            SELECT entity_id::text AS value FROM events
             WHERE id > \(start) AND type IN ('message.created', 'message.updated', 'ticket.created', 'ticket.updated')
             ORDER BY xid, id
            """
        )
        _ = try await eventually(within: .seconds(60), otherwise: { "\(resumed.events.count)" }) {
            listener.events.count + resumed.events.count >= written.count ? true : nil
        }

        let told = listener.events + resumed.events
        #expect(told.map { $0.string("data.id") ?? "" } == written)
        #expect(Set(told.map(\.id)).count == told.count)
        #expect(!listener.events.isEmpty && !resumed.events.isEmpty)
    }

    @Test(arguments: ["nonsense", "AAAAAAAAAAAAAAAAMS4xLjE", ""])
    func anUnknownPositionGetsOneResetAndThenWhatHappens(_ position: String) async throws {
        let organisation = try await Contract.admin()
        let channel = try await organisation.channel()
        let listener = try await Self.listener(to: organisation, after: position)

        _ = try await organisation.ticket(on: channel)

        _ = try await Self.event("ticket.created", in: listener)
        #expect(listener.events.map(\.type).filter { $0 == "reset" }.count == (position.isEmpty ? 0 : 1))
        #expect(listener.events.first?.type == (position.isEmpty ? "ticket.created" : "reset"))
    }

    @Test func anotherOrganisationsPositionIsUnknown() async throws {
        let other = try await Contract.admin()
        let foreign = try await Self.listener(to: other).lastEventId
        let organisation = try await Contract.admin()

        let listener = try await Self.listener(to: organisation, after: foreign)

        #expect(listener.events.map(\.type) == ["reset"])
    }

    @Test func theTokenMayComeInTheQueryHereOnlyAndIsNeverLogged() async throws {
        let host = try await RunningHost(settings: ["LOG_LEVEL": "trace"])
        let organisation = try await Organisation.signUp(host.api)
        let token = organisation.api.token ?? ""
        let listener = try await EventListener(
            host.api,
            "/orgs/\(organisation.id)/events?access_token=\(token)",
            token: nil
        )

        let elsewhere = try await host.api.get("/orgs/\(organisation.id)/tickets?access_token=\(token)")
        let wrong = try await host.api.get("/orgs/\(organisation.id)/events?access_token=\(token)x")

        #expect(listener.text.hasPrefix("HTTP/1.1 200"))
        #expect(elsewhere.problem == "401")
        #expect(wrong.problem == "401")
        #expect(!wrong.text.contains(token))
        #expect(!host.log.contains(token.suffix(20)))
    }

    @Test func endsWithTheSession() async throws {
        let host = try await Contract.host()
        let organisation = try await Contract.admin()
        let answer = try await host.api.logIn(organisation.email)
        let session = host.api.with(token: answer.string("accessToken"))
        let listener = try await EventListener(session, "/orgs/\(organisation.id)/events", token: session.token)

        _ = try await session.post("/auth/logout", ["refreshToken": answer.string("refreshToken") ?? ""])

        _ = try await eventually(within: .seconds(30)) { listener.isOpen ? nil : true }
        #expect(try await session.get("/orgs/\(organisation.id)/events").problem == "401")
    }

    @Test func endsWithTheTokenAndWithTheProcess() async throws {
        let host = try await RunningHost(settings: ["ACCESS_TTL": "4s"])
        let organisation = try await Organisation.signUp(host.api)
        let path = "/orgs/\(organisation.id)/events"
        let expiring = try await EventListener(host.api, path, token: organisation.api.token)

        _ = try await eventually(within: .seconds(30)) { expiring.isOpen ? nil : true }
        let answer = try await host.api.logIn(organisation.email)
        let open = try await EventListener(host.api, path, token: answer.string("accessToken"))
        host.stop()

        _ = try await eventually(within: .seconds(30)) { open.isOpen ? nil : true }
        #expect(open.text.hasPrefix("HTTP/1.1 200"))
    }

    @Test func aCampaignIsToldOfAtMostOnceASecondAndItsLastStateAlways() async throws {
        let organisation = try await Contract.admin()
        let campaign = try await Self.campaign(organisation)
        let began = ContinuousClock.now
        let listener = try await Self.listener(to: organisation)

        _ = try await organisation.api.post(campaign + "/start")
        for _ in 0..<8 {
            for verb in ["pause", "resume"] { _ = try await organisation.api.post("\(campaign)/\(verb)") }
        }
        _ = try await organisation.api.post(campaign + "/cancel")
        let events = try await eventually(within: .seconds(60), otherwise: { listener.text }) {
            let events = listener.events.filter { $0.type == "campaign.updated" }
            return events.last?.string("data.status") == "cancelled" ? events : nil
        }
        let seconds = began.duration(to: .now) / .seconds(1)

        #expect(events.count <= Int(seconds) + 1, "\(events.count) in \(seconds) s")
        #expect(Set(events.map(\.id)).count == events.count)
        #expect(events.allSatisfy { $0.string("id") == $0.id })
    }

    @Test func whatAStreamHeldBackWhenItEndedIsToldWhenItIsResumed() async throws {
        let organisation = try await Contract.admin()
        let channel = try await organisation.channel()
        let campaign = try await Self.campaign(organisation)
        let listener = try await Self.listener(to: organisation)

        _ = try await organisation.api.post(campaign + "/start")
        _ = try await Self.event("campaign.updated", in: listener)
        _ = try await organisation.api.post(campaign + "/pause")
        _ = try await organisation.ticket(on: channel)
        _ = try await Self.event("ticket.created", in: listener)
        listener.close()
        let resumed = try await Self.listener(to: organisation, after: listener.lastEventId)

        _ = try await eventually(within: .seconds(60), otherwise: { listener.text + resumed.text }) {
            (listener.events + resumed.events).last { $0.type == "campaign.updated" }?.string("data.status") == "paused"
                ? true : nil
        }
        #expect(!resumed.events.contains { $0.type == "ticket.created" })
    }

    /// A draft with as many recipients as nobody sends to within a test.
    private static func campaign(_ organisation: Organisation) async throws -> String {
        let made = try await organisation.api.post(
            organisation.path + "/campaigns",
            [
                "name": "Sale", "channelId": try await organisation.channel(), "message": ["text": "Hi"],
                "rateLimit": ["perSecond": 1],
            ]
        )
        let campaign = organisation.path + "/campaigns/" + (made.string("id") ?? "")
        let people = (1...1000).map { ["phone": "+4915000\(10_000 + $0)"] }
        let added = try await organisation.api.post(campaign + "/recipients", ["recipients": people])
        guard added.status == 200 else { throw UnexpectedAnswer(added) }
        return campaign
    }

    @Test func headAnswersWithoutAStream() async throws {
        let organisation = try await Contract.bystander()

        let answer = try await organisation.api.send("HEAD", organisation.path + "/events")

        #expect(answer.status == 200)
        #expect(answer.headers["content-type"] == "text/event-stream")
        #expect(answer.headers["cache-control"] == "no-store")
    }

    private static func listener(to organisation: Organisation, after position: String? = nil) async throws
        -> EventListener
    {
        try await EventListener(
            organisation.api,
            organisation.path + "/events",
            token: organisation.api.token,
            lastEventId: position
        )
    }

    /// Transactions of the update of a ticket that hold their place for a while before they commit.
    private static func commitLate(_ organisation: String, _ database: TestDatabase, times: Int) async throws {
        for _ in 0..<times {
            try await database.script(
                """
                SELECT set_config('app.org_id', '\(organisation)', false);
                BEGIN;
                INSERT INTO events (org_id, type, entity_id, ticket_id)
                SELECT org_id, 'ticket.updated', id, id FROM tickets WHERE org_id = '\(organisation)' LIMIT 1;
                SELECT pg_sleep(0.2);
                COMMIT;
                """
            )
        }
    }

    private static func event(_ type: String, in listener: EventListener) async throws -> EventListener.Event {
        try await eventually(within: .seconds(60), otherwise: { listener.text }) {
            listener.events.first { $0.type == type }
        }
    }
}
