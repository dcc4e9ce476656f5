import Foundation
import Functions
import Helpdesk
import Postgres
import TestSupport
import Testing

@Suite struct DeliverMailTests {
    /// Runs the job of the newest mail.
    private func deliver(in world: World) async throws -> Outcome {
        let jobs = try await world.queued("mail")
        return try await world.work("deliver-mail", jobs.suffix(1))[0]
    }

    private func row(_ columns: SQL, in world: World) async throws -> String? {
        try await world.column("SELECT concat_ws(' ', \(raw: columns)) FROM mails").first ?? nil
    }

    private func folder() -> String {
        FileManager.default.temporaryDirectory.appending(path: "mail-tests-\(UUID())").path
    }

    @Test func writesAFileAndErasesTheText() async throws {
        let folder = folder()
        try await World.with(["MAIL_DIR": folder]) { world in
            let jane = try await world.admin()
            let url = try await world.invite("joe@example.com", as: jane).text("inviteUrl")

            let outcomes = [try await deliver(in: world), try await deliver(in: world)]

            #expect(outcomes == [.done(), .done()])
            #expect(try await row("status, attempts, content IS NULL, sent_at IS NOT NULL", in: world) == "sent 1 t t")
            let files = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(files.count == 1)
            let text = try String(contentsOfFile: folder + "/" + (files.first ?? ""), encoding: .utf8)
            #expect(text.contains("\r\nTo: joe@example.com\r\n"))
            #expect(text.contains("\r\n\(url)\r\n"))
        }
        try FileManager.default.removeItem(atPath: folder)
    }

    @Test func waitsForAServerThatIsAway() async throws {
        try await World.with(["MAIL_URL": "smtp://127.0.0.1:\(FreePort.find())"]) { world in
            let jane = try await world.admin()
            _ = try await world.invite("joe@example.com", as: jane)

            let first = try await deliver(in: world)
            let early = try await deliver(in: world)
            _ = try await world.owner.query("UPDATE mails SET next_attempt_at = now()")
            let second = try await deliver(in: world)

            #expect(first == .snooze(.seconds(5)))
            guard case .snooze(let pause) = early else { Issue.record("\(early)"); return }
            #expect((.zero ... .seconds(5)).contains(pause))
            #expect(second == .snooze(.seconds(10)))
            #expect(try await row("status, attempts, lease IS NULL", in: world) == "queued 2 t")
            #expect(try await row("error", in: world)?.hasPrefix("no connection to the mail server") == true)
        }
    }

    @Test func givesUpWhatHasLostItsWorth() async throws {
        try await World.with(["MAIL_URL": "smtp://127.0.0.1:\(FreePort.find())"]) { world in
            let jane = try await world.admin()
            _ = try await world.invite("joe@example.com", as: jane)
            _ = try await world.owner.query("UPDATE mails SET expires_at = now() + interval '1 second'")

            #expect(try await deliver(in: world) == .done())

            #expect(try await row("status, content IS NULL", in: world) == "failed t")
        }
    }

    @Test func keepsTheMailWhileNoSettingSaysWhere() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            _ = try await world.invite("joe@example.com", as: jane)

            #expect(try await deliver(in: world) == .done())

            #expect(try await row("status, attempts", in: world) == "queued 0")
        }
    }

    @Test func whoDiedWhileSendingIsFollowedWhenTheLeaseIsOver() async throws {
        let folder = folder()
        try await World.with(["MAIL_DIR": folder]) { world in
            let jane = try await world.admin()
            _ = try await world.invite("joe@example.com", as: jane)
            _ = try await world.owner.query(
                "UPDATE mails SET attempts = 1, lease = \(UUID()), leased_until = now() + interval '1 minute'"
            )

            let busy = try await deliver(in: world)
            _ = try await world.owner.query("UPDATE mails SET leased_until = now()")
            let free = try await deliver(in: world)

            guard case .snooze(let pause) = busy else { Issue.record("\(busy)"); return }
            #expect((.seconds(50) ... .seconds(60)).contains(pause))
            #expect(free == .done())
            #expect(try await row("status, attempts", in: world) == "sent 2")
        }
        try FileManager.default.removeItem(atPath: folder)
    }

    @Test func anotherOrganisationsJobFindsNothing() async throws {
        let folder = folder()
        try await World.with(["MAIL_DIR": folder]) { world in
            let jane = try await world.admin()
            let stranger = try await world.admin()
            _ = try await world.invite("joe@example.com", as: jane)
            let mail = try await world.column("SELECT id::text FROM mails")
            let data: JSON = [
                "orgId": .string("\(stranger.organisation)"), "mailId": .string(mail.first.flatMap { $0 } ?? ""),
            ]

            #expect(try await world.work("deliver-mail", [data]) == [.done()])

            #expect(try await row("status, attempts", in: world) == "queued 0")
        }
    }

    @Test func theSweepAddsTheJobsThatGotLost() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            _ = try await world.invite("joe@example.com", as: jane)
            _ = try await world.invite("bob@example.com", as: jane)
            _ = try await world.owner.query(
                "UPDATE mails SET next_attempt_at = now() - interval '1 minute' WHERE recipient = 'joe@example.com'"
            )
            let before = try await world.queued("mail")

            try await world.runSchedule("sweep-work")

            let after = try await world.queued("mail")
            #expect(Array(after.dropFirst(before.count)) == [before[0]])
        }
    }

    @Test func oldMailsAndResetsArePurged() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            for name in ["queued", "sent", "new"] { _ = try await world.invite("\(name)@example.com", as: jane) }
            _ = try await world.call("forgot-password", body: ["email": .string(jane.email)])
            _ = try await world.owner.run([
                "UPDATE mails SET status = 'sent', content = NULL, sent_at = now() WHERE recipient <> 'queued@example.com'",
                "UPDATE mails SET created_at = now() - interval '8 days' WHERE recipient <> 'new@example.com'",
                "UPDATE password_resets SET expires_at = now()",
            ])

            try await world.runSchedule("purge-expired")

            #expect(
                try await world.column("SELECT recipient FROM mails ORDER BY recipient")
                    == ["new@example.com", "queued@example.com"]
            )
            #expect(try await world.column("SELECT count(*)::text FROM password_resets") == ["0"])
        }
    }
}
