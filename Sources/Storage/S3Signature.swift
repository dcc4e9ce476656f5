import Foundation
import Security

/// AWS's Signature Version 4, as S3 wants it.
struct S3Signature: Sendable {
    let address: S3Address
    let date: Date

    /// `20261122T144500Z`
    private var timestamp: String {
        date.ISO8601Format(Date.ISO8601FormatStyle(dateSeparator: .omitted, timeSeparator: .omitted))
    }

    private var scope: String { "\(timestamp.prefix(8))/\(address.region)/s3/aws4_request" }

    /// The headers that prove a request; `Host` is part of what is signed and set by the client.
    func headers(_ method: String, path: String, digest: [UInt8]) -> [(name: String, value: String)] {
        let payload = Hex.encode(digest)
        let signed = [("host", address.host), ("x-amz-content-sha256", payload), ("x-amz-date", timestamp)]
        let names = signed.map(\.0).joined(separator: ";")
        let lines = signed.map { "\($0.0):\($0.1)\n" }.joined()
        let request = [method, path, "", lines, names, payload].joined(separator: "\n")
        return [
            ("x-amz-content-sha256", payload), ("x-amz-date", timestamp),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=\(address.key)/\(scope), SignedHeaders=\(names), Signature=\(sign(request))"
            ),
        ]
    }

    /// An address by which whoever has it may read the object for a while; `answer` are the `response-…` parameters that decide
    /// the headers of what is read.
    func readable(path: String, for seconds: Int, answer: [(name: String, value: String)]) -> String {
        let parameters = [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Credential", "\(address.key)/\(scope)"),
            ("X-Amz-Date", timestamp), ("X-Amz-Expires", String(seconds)), ("X-Amz-SignedHeaders", "host"),
        ]
        let query = (parameters + answer.map { ($0.name, $0.value) })
            .map { (Self.encoded($0.0), Self.encoded($0.1)) }
            .sorted { Array($0.0.utf8).lexicographicallyPrecedes(Array($1.0.utf8)) }
            .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
        let request = ["GET", path, query, "host:\(address.host)\n", "host", "UNSIGNED-PAYLOAD"]
            .joined(separator: "\n")
        return "\(address.origin)\(path)?\(query)&X-Amz-Signature=\(sign(request))"
    }

    private func sign(_ request: String) -> String {
        let text = ["AWS4-HMAC-SHA256", timestamp, scope, Hex.encode(SHA256.digest(request))].joined(separator: "\n")
        var key = Array("AWS4\(address.secret)".utf8)
        for part in [String(timestamp.prefix(8)), address.region, "s3", "aws4_request"] {
            key = HMAC.sha256(key: key, message: Array(part.utf8))
        }
        return Hex.encode(HMAC.sha256(key: key, message: Array(text.utf8)))
    }

    /// Percent-encoded but for RFC 3986's unreserved characters, with upper-case digits.
    static func encoded(_ text: String) -> String {
        var encoded = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                encoded += "%" + Hex.encode([byte]).uppercased()
            }
        }
        return encoded
    }
}
