import HTTPTypes
import Hummingbird
package import Logging
import NIOCore
import Postgres

/// Serves the tables of a database as pages on this machine, to whoever sits at it.
package struct Studio: Sendable {
    private let browser: TableBrowser
    private let port: Int
    private let logger: Logger

    package init(_ browser: TableBrowser, port: Int, logger: Logger) {
        self.browser = browser
        self.port = port
        self.logger = logger
    }

    /// Serves until a signal.
    ///
    /// - Parameter onReady: gets the port that it listens on.
    /// - Throws: where it can't listen there.
    package func run(onReady: @escaping @Sendable (Int) async -> Void) async throws {
        let router = Router()
        router.get("/") { request, _ in
            await answer(request) { .ok(TablePages.tables(try await browser.tables())) }
        }
        router.get("/tables/:name") { request, context in
            let name = try context.parameters.require("name")
            let number = min(10_000, max(0, request.uri.queryParameters.get("page", as: Int.self) ?? 0))
            return await answer(request) {
                guard let page = try await browser.page(number, of: name) else {
                    return .failed(.notFound, "There is no table \(name).")
                }
                return .ok(TablePages.rows(page, of: name, number: number))
            }
        }
        let application = Application(
            router: router,
            configuration: .init(address: .hostname("127.0.0.1", port: port)),
            onServerRunning: { channel in await onReady(channel.localAddress?.port ?? 0) },
            logger: logger
        )
        try await application.runService()
    }

    private enum Outcome {
        case ok(String)
        case failed(HTTPResponse.Status, String)
    }

    private func answer(_ request: Request, _ make: () async throws -> Outcome) async -> Response {
        let outcome: Outcome
        if isForeign(request) {
            outcome = .failed(.forbidden, "This page answers to localhost alone.")
        } else {
            do {
                outcome = try await make()
            } catch {
                outcome = .failed(.internalServerError, "\(error)")
            }
        }
        let (status, text) =
            switch outcome {
            case .ok(let text): (HTTPResponse.Status.ok, text)
            case .failed(let status, let message): (status, TablePages.message("\(status)", message))
            }
        var headers: HTTPFields = [.contentType: "text/html; charset=utf-8", .cacheControl: "no-store"]
        headers[.contentSecurityPolicy] = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        headers[.xContentTypeOptions] = "nosniff"
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(string: text)))
    }

    /// Whether a page of somebody else's asks: a browser that was told that another name lies at 127.0.0.1 names it here.
    private func isForeign(_ request: Request) -> Bool {
        let authority = request.head.authority ?? ""
        let host = authority.split(separator: ":").first.map(String.init) ?? ""
        return !["localhost", "127.0.0.1"].contains(host)
    }
}
