import Foundation
import Functions
import Helpdesk
import Postgres
import Queue
import Testing

@Suite struct EraseContactTests {
    /// Words that only one person's data hold.
    private static let words = [
        "zaphod", "beeblebrox", "heartofgold", "+4917155501", "improbability", "magrathea", "vogon", "pangalactic",
        "milliways",
    ]

    /// A person with everything that can be known of one.
    private static func populate(_ world: World, _ jane: Caller, on web: String) async throws -> (
        contact: String, ticket: String
    ) {
        let hello = World.Inbound(
            text: "Improbability drive",
            phone: "+4917155501",
            handle: "heartofgold",
            name: "Zaphod Beeblebrox",
            id: "vogon-1"
        )
        try await world.receive(web, hello)
        let ticket = try await world.call("list-tickets", as: jane).text("data.0.id")
        let path = ["ticketId": ticket]
        _ = try await world.call("update-ticket", as: jane, path: path, body: ["subject": "Trip to Magrathea"])
        _ = try await world.call("update-ticket", as: jane, path: path, body: ["subject": "Trip to Magrathea again"])
        let attachments: JSON = [["type": "file", "url": "https://example.com/pangalactic.pdf", "name": "Pangalactic"]]
        _ = try await world.call(
            "send-message",
            as: jane,
            path: path,
            body: ["text": "Dear Zaphod", "attachments": attachments]
        )
        _ = try await world.call("send-message", as: jane, path: path, body: ["text": "Is a vogon", "note": true])
        let contact = try await world.contact("zaphod", of: jane)
        _ = try await world.call(
            "update-contact",
            as: jane,
            path: ["contactId": contact],
            body: ["email": "z@milliways.example"]
        )
        let campaign = try await world.campaign(jane, on: web)
        let recipient: JSON = ["phone": "+4917155501", "name": "Zaphod", "variables": ["ship": "heartofgold"]]
        _ = try await world.add([recipient], to: campaign, as: jane)
        return (contact, ticket)
    }

    @Test func nothingOfThePersonIsLeftAnywhere() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let (contact, ticket) = try await Self.populate(world, jane, on: web)
            try await world.receive(web, .init(text: "Hello", name: "Kim"))
            let waiting = World.Inbound(text: "Improbability", phone: "+49 171 55501", name: "Zaphod").data(web)
            let others = World.Inbound(text: "Still here").data(web)
            for data in [waiting, others] {
                let job = NewJob(name: "receive-message", data: data.text, organisation: jane.organisation.uuid)
                try await world.services.producer.add(job, to: "inbound")
            }
            try await world.keepUnprocessed([waiting.text, others.text, "{\"not JSON: +4917155501"], on: web, of: jane)
            #expect(try await !world.columns(holding: Self.words).isEmpty)
            #expect(try await !world.keys(holding: Self.words).isEmpty)

            let reply = try await world.erase(contact, as: jane)

            #expect(reply.status == 202)
            #expect(reply["erasureId"]?.string != nil)
            #expect(try await world.columns(holding: Self.words) == [])
            #expect(try await world.keys(holding: Self.words) == [])
            for function in ["get-contact", "erase-contact", "list-contact-tickets"] {
                #expect(try await world.call(function, as: jane, path: ["contactId": contact]).status == 404)
            }
            #expect(
                try await world.column("SELECT status || error_code || variables FROM campaign_recipients")
                    == ["failedcontact_erased{}"]
            )
            #expect(try await world.column("SELECT pending || ' ' || failed FROM campaign_counters") == ["0 1"])
            // What was counted stays countable, and others lose nothing.
            let shown = try await world.show(ticket, as: jane)
            #expect(shown["messages"]?.array?.map { $0["text"] } == ["", "", ""])
            #expect(shown["contact.name"] == .null && shown["subject"] == .null)
            #expect(shown["messages.1.status"] == "failed" && shown["messages.1.error.code"] == "contact_erased")
            #expect(try await world.column("SELECT count(*) FROM messages WHERE text = 'Hello'") == ["1"])
            #expect(try await world.queued("inbound").map { $0["text"] } == ["Still here"])
            #expect(try await world.column("SELECT count(*) FROM unprocessed_events") == ["1"])
            #expect(
                try await world.column("SELECT changes::text || entity_id FROM audit WHERE action = 'contact.erase'")
                    == ["{}" + contact]
            )
            #expect(
                try await world.column("SELECT DISTINCT changes::text FROM audit WHERE action = 'ticket.update'")
                    == [#"{"subject": {"to": null, "from": null}}"#]
            )
        }
    }

    @Test func aMessageThatWasAcceptedBeforeIsDroppedAndALaterOneIsANewPersons() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let (contact, _) = try await Self.populate(world, jane, on: web)
            let before = try await world.services.producer.acceptedSoFar(in: "inbound")
            _ = try await world.erase(contact, as: jane)

            let outcomes = try await world.receive(
                web,
                .init(text: "Vogon", phone: nil, handle: "HeartOfGold", name: "Zaphod"),
                .init(text: "Vogon", phone: "+4917155501", name: "Zaphod"),
                .init(text: "Fine", phone: "+4915550009", name: "Kim"),
                acceptedAt: before - 10
            )
            let left = try await world.columns(holding: Self.words)
            let after = try await world.services.producer.acceptedSoFar(in: "inbound") + 1
            try await world.receive(web, .init(text: "Vogon", phone: "+4917155501"), acceptedAt: after)

            #expect(outcomes == [.done(), .done(), .done()])
            #expect(left == [])
            #expect(try await world.column("SELECT count(*) FROM messages WHERE text = 'Fine'") == ["1"])
            let again = try await world.contact("+4917155501", of: jane)
            #expect(again != contact)
            #expect(
                try await world.call("list-contact-tickets", as: jane, path: ["contactId": again])["data"]?.array?.count
                    == 1
            )
        }
    }

    @Test func whatRunsAtTheSameInstantLeavesNothingBehind() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            for round in 0..<6 {
                let (contact, ticket) = try await Self.populate(world, jane, on: web)
                let accepted = try await world.services.producer.acceptedSoFar(in: "inbound")

                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        let status = try await world.erase(contact, as: jane).status
                        #expect(status == 202)
                    }
                    for number in 0..<4 {
                        group.addTask {
                            let outcomes = try await world.receive(
                                web,
                                .init(text: "Vogon", phone: "+4917155501", handle: "heartofgold", name: "Zaphod"),
                                acceptedAt: accepted - 100 + Int64(number)
                            )
                            #expect(outcomes == [.done()])
                        }
                        group.addTask {
                            let status = try await world.send("Dear Zaphod", ticket, as: jane).status
                            #expect([201, 409].contains(status))
                        }
                    }
                    try await group.waitForAll()
                }

                #expect(try await world.columns(holding: Self.words) == [], "round \(round)")
            }
        }
    }

    @Test func aTicketOfAnErasedPersonTakesNoMessages() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let (contact, ticket) = try await Self.populate(world, jane, on: web)
            _ = try await world.erase(contact, as: jane)

            let answer = try await world.send("Hello?", ticket, as: jane)
            let opened = try await world.call(
                "create-ticket",
                as: jane,
                body: ["channelId": .string(web), "contactId": .string(contact)]
            )

            #expect(answer.status == 409)
            #expect(opened.faults == ["/contactId is not a contact of this organisation"])
        }
    }

    @Test func aFailedJobThatIsKeptLateIsNotKept() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let (contact, _) = try await Self.populate(world, jane, on: web)
            let before = try await world.services.producer.acceptedSoFar(in: "inbound")
            _ = try await world.erase(contact, as: jane)

            let theirs = World.Inbound(text: "Vogon", phone: "+4917155501").data(web).text
            try await world.keepUnprocessed([theirs], on: web, of: jane, acceptedAt: before)

            #expect(try await world.column("SELECT count(*) FROM unprocessed_events") == ["0"])
        }
    }

    @Test func whoHasANewNumberIsForgottenByTheOldOneToo() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let (contact, _) = try await Self.populate(world, jane, on: web)
            let moved: JSON = [
                "channelId": .string(web), "kind": "identity", "person": ["phone": "+4917155501"],
                "successor": ["phone": "+4917155509"],
            ]
            _ = try await world.work("apply-change", [moved])
            let former = try await world.column("SELECT value FROM contact_identities WHERE kind = 'former'")
            #expect(former == ["+4917155501"])
            let before = try await world.services.producer.acceptedSoFar(in: "inbound")
            _ = try await world.erase(contact, as: jane)

            let theirs = World.Inbound(text: "Vogon", phone: "+4917155501").data(web).text
            try await world.keepUnprocessed([theirs], on: web, of: jane, acceptedAt: before)

            #expect(try await world.column("SELECT count(*) FROM unprocessed_events") == ["0"])
            #expect(try await world.column("SELECT count(*) FROM contact_identities") == ["0"])
        }
    }
}

extension World {
    /// Has the worker keep jobs that failed for good; those without a channel are put there by hand.
    func keepUnprocessed(_ data: [String], on channel: String, of caller: Caller, acceptedAt: Int64 = 1) async throws {
        guard let function = Registry.functions.first(where: { $0.name == "receive-message" }),
            case .queue(let worker) = function.hosted
        else { throw UnknownFunction(name: "receive-message") }
        for (number, text) in data.enumerated() {
            let job = Job(
                id: "k\(number)",
                queue: "inbound",
                name: "receive-message",
                data: text,
                acceptedAt: acceptedAt
            )
            if (try? JSON.parse(text)) != nil {
                try await worker.keep([FailedJob(job: job, reason: "x")], workContext("receive-message"))
            } else {
                _ = try await owner.query(
                    """
                    INSERT INTO unprocessed_events
                           (org_id, channel_id, queue, job_id, job_name, data, reason, attempts, accepted_at)
                    VALUES (\(caller.organisation), \(channel)::uuid, 'inbound', \(job.id), \(job.name), \(text), 'x', 1, 1)
                    """
                )
            }
        }
    }
}
