import Foundation
import TestSupport
import Testing

/// The description of the API, as a file and as it is served. `runner/test` holds every answer that the suites get against
/// it besides.
@Suite struct OpenAPITests {
    @Test func isWhatTheSpecificationWants() async throws {
        let document = try await Self.write()
        defer { try? FileManager.default.removeItem(atPath: document) }  // a file that stays is in nobody's way

        let verdict = try await Command.shell(
            "'\(try Self.python)' '\(Checkout.root)/Tests/EndToEndTests/Peers/check_document.py' '\(document)'"
        )

        #expect(verdict.output == "")
        #expect(verdict.status == 0, "\(verdict.errors)")
    }

    @Test func checkFindsNoFault() async throws {
        let check = try await Command.run(["openapi", "--check"])

        #expect(check.errors == "")
        #expect(check.status == 0)
        #expect(check.output.contains("operations, no faults"))
    }

    @Test func isServedAsItIsPrinted() async throws {
        let printed = try await Command.run(["openapi"]).output
        let api = try await Contract.host().api

        let answer = try await api.get("/openapi.json")

        #expect(answer.status == 200)
        #expect(answer.headers["content-type"] == "application/json")
        #expect(answer.text + "\n" == printed)
    }

    @Test func describesAnOperationWithAllThatItTakesAndAnswers() async throws {
        let document = try await Contract.host().api.get("/openapi.json").object

        let paths = document["paths"] as? [String: [String: Any]] ?? [:]
        let operation = paths["/orgs/{orgId}/tickets/{ticketId}/assign"]?["post"] as? [String: Any] ?? [:]
        #expect(operation["operationId"] as? String == "assignTicket")
        #expect(operation["tags"] as? [String] == ["Tickets"])
        #expect((operation["summary"] as? String)?.isEmpty == false)
        let responses = operation["responses"] as? [String: Any] ?? [:]
        #expect(
            Set(responses.keys) == ["200", "400", "401", "403", "404", "409", "413", "415", "422", "503"]
        )
        #expect(operation["security"] == nil)
        let logIn = paths["/auth/login"]?["post"] as? [String: Any]
        #expect((logIn?["security"] as? [Any])?.isEmpty == true)
        #expect(paths["/health"] != nil && paths["/openapi.json"] != nil)
    }

    @Test(arguments: ["/openapi.json", "/api/docs", "/api/docs/explorer.js"])
    func isReadOnly(_ path: String) async throws {
        let api = try await Contract.host().api

        let posted = try await api.post(path)
        let head = try await api.send("HEAD", path)
        let options = try await api.send("OPTIONS", path)

        #expect(posted.problem == "405")
        #expect(posted.allow == ["GET", "HEAD", "OPTIONS"])
        #expect(head.status == 200 && head.body.isEmpty)
        #expect(options.status == 204)
    }

    @Test func thePageLoadsNothingFromElsewhere() async throws {
        let api = try await Contract.host().api

        let page = try await api.get("/api/docs")

        #expect(page.status == 200)
        #expect(page.headers["content-type"] == "text/html; charset=utf-8")
        #expect(page.headers["content-security-policy"]?.hasPrefix("default-src 'none'; script-src 'self'") == true)
        #expect(!page.text.contains("http://") && !page.text.contains("https://"))
        #expect(!page.text.contains("<script>"))
        for source in Self.sources(in: page.text) {
            #expect(try await api.get(source).status == 200, "\(source)")
        }
    }

    @Test(arguments: ["/api/docs/", "/api/docs/nothing.js", "/api/docs/..%2Fversion", "/api/docs/version"])
    func hasNoFilesButThePages(_ path: String) async throws {
        let answer = try await Contract.host().api.get(path)

        #expect(answer.problem == "404")
    }

    /// What the page's `src` and `href` name.
    private static func sources(in page: String) -> [String] {
        page.matches(of: /(?:src|href)="([^"]+)"/).map { String($0.output.1) }
    }

    private static var python: String {
        get throws { try TestServers.python }
    }

    private static func write() async throws -> String {
        let path = NSTemporaryDirectory() + "openapi-\(UUID().uuidString).json"
        _ = try await Command.run(["openapi", "-o", path])
        return path
    }
}
