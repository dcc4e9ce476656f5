import ArgumentParser
import Dashboard
import Foundation
import Logging
import Postgres

extension Database {
    struct Studio: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows the tables and their rows in a browser: here only, read only.",
            discussion: """
                Texts and documents are masked, because they are customers'; --show-data shows them. Secrets and hashes are
                masked always.

                Examples:
                  runner db studio
                  runner db studio --port 5556 --show-data
                """
        )

        @OptionGroup var options: Options

        @Option(help: "Where to listen on 127.0.0.1.")
        var port = 5555

        @Option(
            name: .customLong("org"),
            help: "Whose rows to show where row-level security binds the owner too: an id."
        )
        var organisation: String?

        @Flag(help: "Show texts and documents, too.")
        var showData = false

        func validate() throws {
            if let organisation, UUID(uuidString: organisation) == nil {
                throw ValidationError("--org \(organisation) is no id of an organisation: it has to be a UUID.")
            }
            guard (0...65535).contains(port) else { throw ValidationError("--port \(port) is not a port.") }
        }

        func run() async throws {
            let (url, _) = try options.owner()
            try await Owner.connected(url) { postgres in
                let browser = TableBrowser(postgres, organisation: organisation, showsData: showData)
                let logger = Logger(label: "studio", factory: { _ in SwiftLogNoOpLogHandler() })
                try await Dashboard.Studio(browser, port: port, logger: logger).run { port in
                    print("http://localhost:\(port)   Ctrl-C ends it")
                    fflush(nil)
                }
            }
        }
    }
}
