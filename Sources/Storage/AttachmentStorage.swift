import Foundation

/// Where the files of attachments lie: a folder, or a bucket of an S3-compatible store.
///
/// A key is words of letters, digits and `-` with slashes between them. Putting a file in place of another is atomic: who reads
/// gets the one or the other.
package enum AttachmentStorage: Sendable {
    case folder(FolderStorage)
    case bucket(S3Storage)

    /// By `ATTACHMENTS_URL`: `file:attachments` (relative to where the process started), `file:///var/lib/attachments`, or
    /// `s3://KEY:SECRET@HOST/BUCKET/PREFIX?region=eu-central-1`, with `&tls=off` for a store that speaks plain HTTP.
    ///
    /// - Throws: ``StorageFault/unreadableAddress(_:)``.
    package init(url text: String) throws(StorageFault) {
        if text.hasPrefix("file:") {
            var path = text.dropFirst("file:".count)
            if path.hasPrefix("//") { path = path.dropFirst(2) }
            guard let path = String(path).removingPercentEncoding, !path.isEmpty else {
                throw .unreadableAddress("it names no folder")
            }
            self = .folder(FolderStorage(path: path))
        } else if text.hasPrefix("s3:") {
            self = .bucket(S3Storage(try S3Address(text)))
        } else {
            throw .unreadableAddress("it begins neither with file: nor with s3:")
        }
    }

    /// Puts a file, in place of what is there under the key.
    ///
    /// `chunks` are `size` bytes in all, whose SHA-256 is `digest`; they are read once.
    ///
    /// - Throws: ``StorageFault``, or what `chunks` throws.
    package func put<Chunks: AsyncSequence & Sendable>(
        _ chunks: Chunks,
        size: Int,
        digest: [UInt8],
        under key: String
    ) async throws where Chunks.Element == [UInt8] {
        switch self {
        case .folder(let folder): try await folder.put(chunks, under: key)
        case .bucket(let bucket): try await bucket.put(chunks, size: size, digest: digest, under: key)
        }
    }

    /// Deletes a file, and what a put that was cut short left of it. One that isn't there is deleted already.
    package func delete(_ key: String) async throws {
        switch self {
        case .folder(let folder): try await folder.delete(key)
        case .bucket(let bucket): try await bucket.delete(key)
        }
    }
}

/// Why a file isn't stored or found.
package enum StorageFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// The text completes "ATTACHMENTS_URL can't be used: …" and holds no secret.
    case unreadableAddress(String)
    /// The file system refused.
    case system(String)
    /// The store refused, or couldn't be reached.
    case store(String)

    package var description: String {
        switch self {
        case .unreadableAddress(let text): "ATTACHMENTS_URL can't be used: \(text)"
        case .system(let text), .store(let text): text
        }
    }
}
