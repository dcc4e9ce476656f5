import Foundation

/// A bucket of an S3-compatible store, and who we are there.
package struct S3Address: Sendable, Equatable {
    /// `https://host:port`, without a slash at the end.
    let origin: String
    /// As it stands in the `Host` header.
    let host: String
    let bucket: String
    /// Empty, or with a slash at its end.
    let prefix: String
    let region: String
    let key: String
    let secret: String

    /// - Parameter text: `s3://KEY:SECRET@HOST/BUCKET/PREFIX?region=…&tls=off`; key and secret percent-encoded where they hold
    ///   other characters than letters and digits.
    /// - Throws: ``StorageFault/unreadableAddress(_:)``.
    init(_ text: String) throws(StorageFault) {
        guard let parts = URLComponents(string: text), parts.scheme == "s3", let host = parts.host, !host.isEmpty else {
            throw .unreadableAddress("an s3: address is s3://KEY:SECRET@HOST/BUCKET?region=REGION")
        }
        guard let key = parts.user, !key.isEmpty, let secret = parts.password, !secret.isEmpty else {
            throw .unreadableAddress("an s3: address needs KEY:SECRET before its host")
        }
        let path = parts.path.split(separator: "/").map(String.init)
        guard let bucket = path.first else { throw .unreadableAddress("an s3: address needs a bucket after its host") }
        func option(_ name: String) -> String? { parts.queryItems?.last { $0.name == name }?.value }
        let isPlain = ["off", "false", "no", "0"].contains(option("tls")?.lowercased())
        self.host = parts.port.map { "\(host):\($0)" } ?? host
        origin = (isPlain ? "http://" : "https://") + self.host
        self.bucket = bucket
        prefix = path.dropFirst().map { $0 + "/" }.joined()
        region = option("region") ?? "us-east-1"
        self.key = key
        self.secret = secret
    }

    /// The path of an object, percent-encoded: the bucket is its first part, which every store understands.
    func path(of key: String) -> String {
        "/"
            + ("\(bucket)/\(prefix)\(key)").split(separator: "/", omittingEmptySubsequences: false)
            .map { S3Signature.encoded(String($0)) }.joined(separator: "/")
    }
}
