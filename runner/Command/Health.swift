import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

struct Health: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Asks the host or gateway on this machine whether it is well: the HEALTHCHECK of a container.",
        discussion: """
            Asks GET /health, or GET /ready with --ready. Status 0 where the answer is 200, 1 otherwise.

            Examples:
              runner health
              runner health --ready --port 8080
            """
    )

    @Option(help: "Where it listens; 3000 unless PORT says else.")
    var port: Int?

    @Flag(help: "Whether it can serve, not only whether it is up.")
    var ready = false

    func run() async throws {
        let port = port ?? ProcessInfo.processInfo.environment["PORT"].flatMap { Int($0) } ?? 3000
        let url = "http://127.0.0.1:\(port)/\(ready ? "ready" : "health")"
        do {
            let answer = try await HTTPClient.shared.execute(HTTPClientRequest(url: url), timeout: .seconds(3))
            if answer.status == .ok { return }
            let body = try await answer.body.collect(upTo: 1 << 16)
            Terminal.error("\(url) answered \(answer.status.code): \(String(buffer: body))")
        } catch {
            Terminal.error("\(url) did not answer: \(error)")
        }
        throw ExitCode(1)
    }
}
