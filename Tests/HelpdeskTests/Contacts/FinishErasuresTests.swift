import Foundation
import Functions
import Postgres
import Queue
import Testing

@Suite struct FinishErasuresTests {
    @Test func takesOutWhatAnErasureThatWasCutShortLeftInTheQueue() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receive(web, .init(text: "Hello", phone: "+4915550001", name: "Kim"))
            _ = try await world.erase(try await world.contact("kim", of: jane), as: jane)
            for phone in ["+4915550001", "+4915550002"] {
                let data = World.Inbound(text: "x", phone: phone).data(web).text
                let job = NewJob(name: "receive-message", data: data, organisation: jane.organisation.uuid)
                try await world.services.producer.add(job, to: "inbound")
            }
            try await world.runSchedule("finish-erasures")
            let kept = try await world.queued("inbound").count
            let until = try await world.services.producer.acceptedSoFar(in: "inbound")
            _ = try await world.owner.query(
                "UPDATE erasures SET accepted_until = \(until), cleared_at = NULL, created_at = now() - interval '2 minutes'"
            )

            try await world.runSchedule("finish-erasures")

            // The first time there was nothing to finish: those jobs were accepted later.
            #expect(kept == 2)
            #expect(try await world.queued("inbound").map { $0["sender"]?["phone"] } == ["+4915550002"])
            #expect(try await world.column("SELECT count(cleared_at) FROM erasures") == ["1"])
        }
    }

    @Test func forgetsAnErasureWhoseTimeHasPassed() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receive(web, .init(text: "Hello", name: "Kim"))
            _ = try await world.erase(try await world.contact("kim", of: jane), as: jane)
            _ = try await world.owner.query("UPDATE erasures SET expires_at = now()")

            try await world.runSchedule("finish-erasures")

            #expect(
                try await world.column("SELECT (SELECT count(*) FROM erasures) + count(*) FROM erased_identities") == [
                    "0"
                ]
            )
        }
    }
}
