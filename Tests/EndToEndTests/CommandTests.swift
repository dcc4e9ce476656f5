import Foundation
import TestSupport
import Testing

/// The executable's commands that need no server.
@Suite struct CommandTests {
    @Test func checkNamesTenFaultsAtOnceWithTheirLinesAndColumns() async throws {
        let folder = NSTemporaryDirectory() + "delightchat-check-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }  // a folder that stays is in nobody's way
        try Self.faulty.write(toFile: folder + "/functions.yaml", atomically: true, encoding: .utf8)

        let check = try await Command.run(["check", "-f", "functions.yaml"], in: folder)

        let places = check.errors.split(separator: "\n").compactMap { line -> String? in
            guard line.contains(": error: ") else { return nil }
            return line.split(separator: " ").first.map(String.init)
        }
        #expect(check.status == 3)
        #expect(
            places == [
                "functions.yaml:6:11:", "functions.yaml:10:14:", "functions.yaml:13:12:", "functions.yaml:15:25:",
                "functions.yaml:19:17:", "functions.yaml:22:3:", "functions.yaml:27:11:", "functions.yaml:31:5:",
                "functions.yaml:34:16:", "functions.yaml:38:12:",
            ]
        )
        for word in [
            "number", "many", "parsecs", "concurrency", "20..2", "Sign_Up", "FETCH", "acess", "61", "DATABASE_ULR",
        ] {
            #expect(check.errors.contains(word))
        }
    }

    /// `runner/up --release` links Swift's library statically, where these two need -dev packages that nothing else does.
    @Test(arguments: ["libFoundationNetworking.so", "libFoundationXML.so"])
    func aReleaseBuildLinksWithWhatSetupInstalls(_ library: String) throws {
        let executable = try Data(contentsOf: URL(fileURLWithPath: Checkout.executable), options: .alwaysMapped)

        #expect(executable.range(of: Data(library.utf8)) == nil)
    }

    @Test func checkFindsNoFaultInOurOwn() async throws {
        let check = try await Command.run(["check", "-f", Checkout.root + "/functions.yaml"])

        #expect(check.errors == "")
        #expect(check.status == 0)
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func completionKnowsTheCommands(shell: String) async throws {
        let script = try await Command.run(["completion", shell])

        #expect(script.status == 0)
        #expect(script.output.contains("describe"))
        #expect(script.output.contains("no-watch"))
    }

    @Test func everyCommandsHelpHasAnExample() async throws {
        var unread: [[String]] = [[]]
        var without: [String] = []
        var count = 0
        while let command = unread.popLast() {
            let help = try await Command.run(command + ["--help"])
            count += 1
            #expect(help.status == 0)
            if !help.output.contains("Example") { without.append(command.joined(separator: " ")) }
            unread += Self.subcommands(in: help.output).map { command + [$0] }
        }

        #expect(without == [])
        #expect(count >= 19)
    }

    /// The words that begin the lines below SUBCOMMANDS.
    private static func subcommands(in help: String) -> [String] {
        guard let list = help.components(separatedBy: "SUBCOMMANDS:\n").dropFirst().first else { return [] }
        return list.split(separator: "\n", omittingEmptySubsequences: false).prefix { !$0.isEmpty }.compactMap { line in
            guard line.hasPrefix("  "), !line.hasPrefix("   ") else { return nil }
            return line.split(separator: " ").first.map(String.init)
        }
    }

    private static let faulty = """
        version: 1
        name: faulty

        variables:
          PORT:
            type: number
            default: 3000
          LIMIT:
            type: int
            default: many

        defaults:
          timeout: 10 parsecs
          http: { access: member }
          queue: { concurrency: 0 }
          params: { orgId: uuid, ticketId: uuid }

        groups:
          api: { scale: 20..2 }

        functions:
          Sign_Up:
            handler: Auth/SignUp
            http: POST /auth/signup
          get-me:
            handler: Auth/GetMe
            http: FETCH /auth/me
          log-out:
            handler: Auth/LogOut
            http: POST /auth/logout
            acess: public
          sweep-work:
            handler: Messages/SweepWork
            schedule: "61 * * * *"
          get-ticket:
            handler: Tickets/GetTicket
            http: GET /orgs/:orgId/tickets/:ticketId
            uses: [DATABASE_ULR]
        """
}
