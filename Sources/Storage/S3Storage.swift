import AsyncHTTPClient
package import Foundation
import NIOCore
import NIOHTTP1
import Security

/// Files in a bucket of an S3-compatible store.
package struct S3Storage: Sendable {
    private let address: S3Address

    /// Long enough for the largest file over a slow line.
    private static let limit = TimeAmount.seconds(120)

    init(_ address: S3Address) {
        self.address = address
    }

    func put<Chunks: AsyncSequence & Sendable>(
        _ chunks: Chunks,
        size: Int,
        digest: [UInt8],
        under key: String
    ) async throws where Chunks.Element == [UInt8] {
        var request = request("PUT", key, digest: digest)
        request.body = .stream(chunks.map { ByteBuffer(bytes: $0) }, length: .known(Int64(size)))
        try await send(request)
    }

    func delete(_ key: String) async throws {
        try await send(request("DELETE", key, digest: SHA256.digest("")))
    }

    /// An address by which the file can be read for a while without asking us.
    package func readable(
        _ key: String,
        for seconds: Int,
        answer: [(name: String, value: String)],
        at date: Date = Date()
    ) -> String {
        S3Signature(address: address, date: date).readable(path: address.path(of: key), for: seconds, answer: answer)
    }

    private func request(_ method: String, _ key: String, digest: [UInt8]) -> HTTPClientRequest {
        let path = address.path(of: key)
        var request = HTTPClientRequest(url: address.origin + path)
        request.method = method == "PUT" ? .PUT : .DELETE
        for header in S3Signature(address: address, date: Date()).headers(method, path: path, digest: digest) {
            request.headers.add(name: header.name, value: header.value)
        }
        return request
    }

    private func send(_ request: HTTPClientRequest) async throws {
        let answer = try await HTTPClient.shared.execute(request, timeout: Self.limit)
        let body = try await answer.body.collect(upTo: 1 << 20)
        guard (200..<300).contains(answer.status.code) else {
            throw StorageFault.store("the store answered \(answer.status.code): \(String(buffer: body).prefix(500))")
        }
    }
}
