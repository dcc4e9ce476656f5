import Functions
import HTTPTypes
import Hummingbird
import NIOCore

/// Tells the metrics, and nothing else, to whoever is on this machine: on a port of its own, behind which no proxy is.
struct MetricsResponder: HTTPResponder {
    let operations: Operations

    func respond(to request: Hummingbird.Request, context: HostRequestContext) async throws -> Hummingbird.Response {
        guard request.uri.path == "/metrics", request.method == .get else { return Response(status: .notFound) }
        let page = await operations.metricsPage()
        return Response(
            status: .ok,
            headers: [.contentType: page.contentType ?? "", .contentLength: String(page.body.count)],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: page.body))
        )
    }
}
