import Foundation
import Functions
import HTTPTypes
import Hummingbird
import Manifest
import NIOCore
import Security

/// Reads what a request carries: its body within the function's limit, its query, its headers.
package enum RequestReader {
    /// The body's bytes.
    ///
    /// - Throws: 413 once it is longer than `limit` bytes; the rest isn't read.
    static func body(_ request: Hummingbird.Request, limit: Int) async throws -> [UInt8] {
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit { throw tooLarge(limit) }
        var bytes: [UInt8] = []
        do {
            for try await chunk in request.body {
                guard bytes.count + chunk.readableBytes <= limit else { throw tooLarge(limit) }
                bytes.append(contentsOf: chunk.readableBytesView)
            }
        } catch let failure as Failure {
            throw failure
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw Failure.unreadable("The body ended too early.")
        }
        return bytes
    }

    /// The body's bytes as they arrive.
    static func stream(_ request: Hummingbird.Request, limit: Int) throws(Failure) -> BodyStream {
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit { throw tooLarge(limit) }
        return BodyStream { consume in
            var count = 0
            var iterator = request.body.makeAsyncIterator()
            while true {
                let chunk: ByteBuffer?
                do {
                    chunk = try await iterator.next()
                } catch is CancellationError {
                    throw CancellationError()
                } catch {
                    throw Failure.unreadable("The body ended too early.")
                }
                guard let chunk else { return }
                count += chunk.readableBytes
                guard count <= limit else { throw tooLarge(limit) }
                try await consume(Array(chunk.readableBytesView))
            }
        }
    }

    /// Keeps a streamed body on disk, for what has to be told from another body before it is read: ``Request/body`` is then a digest
    /// of it.
    static func spool(_ stream: BodyStream) async throws -> (stream: BodyStream, digest: [UInt8]) {
        let file = try SpoolFile()
        try await stream.read { try await file.append($0) }
        var digest: [UInt8] = []
        for try await block in file.chunks { digest = SHA256.digest(digest + block) }
        return (BodyStream(file), digest)
    }

    private static func tooLarge(_ limit: Int) -> Failure {
        Failure(status: 413, detail: "The body is larger than \(limit) bytes.")
    }

    /// The JSON object of a body that a function declares.
    ///
    /// - Throws: 415 for another type, 400 for an empty body where one is needed and for what is no JSON, 422 for JSON
    ///   that is no object.
    static func json(
        _ bytes: [UInt8],
        type: String?,
        needed: Bool,
        others: [String] = []
    ) throws(Failure) -> JSON? {
        if bytes.isEmpty {
            guard needed else { return nil }
            guard isJSON(type) || type == nil else { throw unsupported(others) }
            throw Failure.unreadable("A JSON body is needed.")
        }
        guard isJSON(type) else { throw unsupported(others) }
        do {
            let json = try JSON.parse(bytes)
            guard case .object = json else { throw Failure.invalid("", "must be an object, not \(json.kind)") }
            return json
        } catch let error as JSONSyntaxError {
            throw Failure.unreadable("The body is no JSON: it \(error.message) at byte \(error.offset).")
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure.unreadable("The body is no JSON.")
        }
    }

    private static func unsupported(_ others: [String]) -> Failure {
        let types = (["application/json"] + others).joined(separator: " or ")
        return Failure(status: 415, detail: "The body must be \(types).")
    }

    /// `application/json` with any parameters, in any case.
    private static func isJSON(_ type: String?) -> Bool {
        mediaType(type) == "application/json"
    }

    static func mediaType(_ type: String?) -> String? {
        type?.split(separator: ";").first.map { $0.trimmingCharacters(in: .whitespaces).lowercased() }
    }

    /// Name and value pairs with `+` and percent escapes undone; `nil` where an escape is broken.
    static func query(_ text: String?) -> [(name: String, value: String)] {
        guard let text, !text.isEmpty else { return [] }
        return text.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (decoded(parts[0]), parts.count == 2 ? decoded(parts[1]) : "")
        }
    }

    private static func decoded(_ text: Substring) -> String {
        let spaced = text.replacing("+", with: " ")
        return spaced.removingPercentEncoding ?? String(spaced)
    }

    /// `X-Request-Id` where it is 1…128 of `[A-Za-z0-9._-]`, else a fresh one.
    package static func requestId(_ given: String?) -> String {
        if let given, (1...128).contains(given.utf8.count),
            given.utf8.allSatisfy({ byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                    || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
            })
        {
            return given
        }
        return Identifier<Never>().description
    }
}
