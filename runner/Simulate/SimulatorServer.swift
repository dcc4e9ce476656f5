import Foundation
import Functions
import HTTPTypes
import Hummingbird
package import Logging
import NIOCore

/// The simulator's side of the network: what providers answer, and `/simulate/…` for whoever plays the customer.
///
/// `POST /simulate/messages` `{provider?, text, from?, name?, picture?}` writes as a customer; `GET /simulate/calls` lists the
/// calls that came in, `DELETE` forgets them.
package struct SimulatorServer: Sendable {
    private let simulator: Simulator
    private let providers: [Provider]
    private let port: Int
    private let logger: Logger
    private let onReady: @Sendable () async -> Void

    package init(
        _ simulator: Simulator,
        _ providers: [Provider],
        port: Int,
        logger: Logger,
        onReady: @escaping @Sendable () async -> Void = {}
    ) {
        self.simulator = simulator
        self.providers = providers
        self.port = port
        self.logger = logger
        self.onReady = onReady
    }

    /// Serves until its task is cancelled.
    package func run() async throws {
        let onReady = onReady
        let application = Application(
            responder: SimulatorResponder(simulator: simulator, providers: providers),
            configuration: .init(address: .hostname("127.0.0.1", port: port), serverName: nil),
            onServerRunning: { _ in await onReady() },
            logger: logger
        )
        try await application.run()
    }
}

private struct SimulatorContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }
}

private struct SimulatorResponder: HTTPResponder {
    let simulator: Simulator
    let providers: [Provider]

    func respond(to request: Request, context: SimulatorContext) async throws -> Response {
        let body = Array(try await request.body.collect(upTo: 32 << 20).readableBytesView)
        if request.uri.path.hasPrefix("/simulate/") { return await control(request, body) }
        let call = SimulatedCall(
            method: request.method.rawValue,
            path: request.uri.path.removingPercentEncoding ?? request.uri.path,
            authorization: request.headers[.authorization],
            body: body
        )
        switch await simulator.answer(call) {
        case .answer(let status, let headers, let body):
            return response(status, body == .null ? [] : Array(body.text.utf8), type: "application/json", headers)
        case .file(let bytes, let type): return response(200, bytes, type: type)
        case .cut:
            try? await context.channel.close()  // closed by the other side already
            return response(500, [], type: "text/plain")
        }
    }

    private func control(_ request: Request, _ body: [UInt8]) async -> Response {
        switch (request.method, request.uri.path) {
        case (.get, "/simulate/calls"): return json(200, await simulator.calls)
        case (.delete, "/simulate/calls"):
            await simulator.forgetCalls()
            return response(204, [], type: nil)
        case (.post, "/simulate/messages"):
            guard let body = try? JSON.parse(body),  // no JSON: as an empty one
                let text = body["text"]?.string
            else { return json(400, ["error": "The body needs a text."]) }
            let named = body["provider"]?.string
            guard let provider = named.map(Provider.init(rawValue:)) ?? providers.first, providers.contains(provider)
            else { return json(400, ["error": .string("There is no provider \(named ?? "") here.")]) }
            do {
                let id = try await simulator.say(
                    text,
                    to: provider,
                    from: body["from"]?.string,
                    name: body["name"]?.string,
                    withPicture: body["picture"] == true
                )
                return json(200, ["id": .string(id)])
            } catch {
                return json(502, ["error": .string("\(error)")])
            }
        default: return json(404, ["error": "There are /simulate/messages and /simulate/calls."])
        }
    }

    private func json(_ status: Int, _ body: JSON) -> Response {
        response(status, Array(body.text.utf8), type: "application/json")
    }

    private func response(
        _ status: Int,
        _ bytes: [UInt8],
        type: String?,
        _ headers: [String: String] = [:]
    ) -> Response {
        var fields = HTTPFields()
        if let type { fields[.contentType] = type }
        for (name, value) in headers { if let name = HTTPField.Name(name) { fields[name] = value } }
        return Response(
            status: .init(code: status),
            headers: fields,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes))
        )
    }
}
