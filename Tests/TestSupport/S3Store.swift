import Foundation

/// A small S3 store that checks signatures by botocore.
package final class S3Store: Sendable {
    package static let (key, secret, region) = (
        "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-central-1"
    )

    package let port: Int
    private let process = LockedProcess()

    package init() async throws {
        port = try FreePort.find()
        try process.start(
            executable: try TestServers.python,
            arguments: [
                "-u", Checkout.root + "/Tests/StorageTests/Peers/s3_store.py", String(port), Self.key, Self.secret,
                Self.region,
            ],
            environment: ["PATH": "/usr/bin:/bin"]
        )
        try await process.listens(on: port)
    }

    deinit { process.kill() }

    /// An `ATTACHMENTS_URL` of a bucket there.
    package func url(secret: String = secret, path: String = "files") -> String {
        let encoded = secret.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        return "s3://\(Self.key):\(encoded)@127.0.0.1:\(port)/\(path)?region=\(Self.region)&tls=off"
    }

    /// `PUT /files/a 200`, in the order in which they came; without queries.
    package var requests: [String] {
        process.log.split(separator: "\n").compactMap { line in
            guard let json = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],  // no request
                let path = json["path"] as? String
            else { return nil }
            return "\(json["method"] ?? "") \(path.prefix { $0 != "?" }) \(json["status"] ?? "")"
        }
    }
}
