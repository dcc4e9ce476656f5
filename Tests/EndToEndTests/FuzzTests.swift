import Foundation
import TestSupport
import Testing

/// Calls every operation of the document with what it allows and what it doesn't, by schemathesis with all of its checks:
/// no 5xx, no answer outside of the document, nothing refused that it allows, nothing taken that it forbids.
///
/// Short by default: the document's examples and the edges of every schema, which alone is some two thousand cases.
/// `runner/test --fuzz` adds random cases and sequences of calls.
@Suite struct FuzzTests {
    @Test func everyAnswerIsInTheDocument() async throws {
        let isLong = ProcessInfo.processInfo.environment["TEST_FUZZ"] == "long"
        let host = try await RunningHost(settings: [
            "ACCESS_TTL": "2h", "LOGIN_LIMIT_EMAIL": "100000", "LOGIN_LIMIT_ADDRESS": "100000",
            "LOGIN_LIMIT_PAIR": "100000", "SIGNUP_LIMIT_ADDRESS": "100000", "TOKEN_LIMIT_ADDRESS": "100000",
            "RESET_LIMIT_EMAIL": "100000", "RESET_LIMIT_ADDRESS": "100000",
        ])
        let organisation = try await Organisation.signUp(host.api)
        let channel = try await organisation.channel()
        let spare = try await organisation.channel()
        let ticket = try await organisation.ticket(on: channel).string("id") ?? ""
        let folder = NSTemporaryDirectory() + "delightchat-fuzz-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }  // a folder that stays is in nobody's way
        let settings = Self.settings(organisation, channel: channel, spare: spare, ticket: ticket)
        try settings.write(toFile: folder + "/schemathesis.toml", atomically: true, encoding: .utf8)

        let program = URL(fileURLWithPath: try TestServers.python).deletingLastPathComponent().path + "/schemathesis"
        #expect(FileManager.default.isExecutableFile(atPath: program), "runner/setup --tests installs schemathesis")
        let extent = isLong ? "--max-examples 60" : "--phases examples,coverage"
        let run = try await Command.shell(
            """
            cd '\(folder)' && '\(program)' run 'http://127.0.0.1:\(host.port)/openapi.json' \(extent) --checks all \
            --workers 1 --continue-on-failure --generation-database none --no-color --warnings off
            """,
            within: isLong ? .seconds(1800) : .seconds(300)
        )

        #expect(run.status == 0, "\(run.output.suffix(20_000))\(run.errors.suffix(2000))")
        let cases = run.output.firstMatch(of: /([0-9]+) generated/).flatMap { Int($0.output.1) } ?? 0
        #expect(cases >= (isLong ? 2000 : 500))
        #expect(!host.log.contains("a function failed"), "\(host.log.suffix(5000))")
    }

    /// Ids that exist, so that it isn't 404 all the way, and what no schema can say.
    private static func settings(
        _ organisation: Organisation,
        channel: String,
        spare: String,
        ticket: String
    ) -> String {
        """
        [headers]
        Authorization = "Bearer \(organisation.api.token ?? "")"

        [parameters]
        orgId = "\(organisation.id)"
        channelId = "\(channel)"
        ticketId = "\(ticket)"

        # An id that is well formed may be nobody's, and members may exclude each other: 422.
        [checks]
        positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422"]

        [[operations]]
        include-name = "DELETE /orgs/{orgId}/channels/{channelId}"
        parameters = { channelId = "\(spare)" }

        # The format of the body is the provider's: 400.
        [[operations]]
        include-name = "POST /webhook/{channelId}"
        checks = { positive_data_acceptance = { expected-statuses = ["2xx", "400", "404"] } }

        # A stream has no end that it would be worth to wait for; its own suite looks after it.
        [[operations]]
        include-name = "GET /orgs/{orgId}/events"
        enabled = false

        """
    }
}
