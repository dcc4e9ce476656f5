import Functions
import Storage

/// A row of `attachments`: the file of something that was received.
enum AttachmentFile {
    typealias ID = Identifier<AttachmentFile>

    /// Where the file lies in the storage; follows from the row, so that nobody has to remember it.
    static func key(_ id: ID, of organisation: Organisation.ID) -> String { "\(organisation)/\(id)" }

    /// The types that browsers show without running anything; all others are served as mere bytes.
    static let safeTypes = [
        "application/octet-stream", "application/pdf", "audio/aac", "audio/amr", "audio/mp4", "audio/mpeg", "audio/ogg",
        "audio/wav", "audio/webm", "image/gif", "image/jpeg", "image/png", "image/webp", "text/plain", "video/3gpp",
        "video/mp4", "video/ogg", "video/quicktime", "video/webm",
    ]

    /// A content type without its parameters, in lower case.
    static func media(_ type: String?) -> String? {
        let media = type?.split(separator: ";").first.map { $0.filter { !$0.isWhitespace }.lowercased() }
        return media?.contains("/") == true ? media : nil
    }

    static func safeType(_ type: String?) -> String {
        media(type).flatMap { safeTypes.contains($0) ? $0 : nil } ?? "application/octet-stream"
    }

    /// Whether a file of this content type can be what the provider called it: a page that says "log in" is no picture.
    static func fits(_ type: String?, _ kind: String) -> Bool {
        guard let media = media(type), !["application/octet-stream", "binary/octet-stream"].contains(media) else {
            return true
        }
        let main = media.prefix { $0 != "/" }
        return switch kind {
        case "image", "sticker": main == "image"
        case "video": main == "video" || main == "image"
        // Voice notes come in containers that are called by another name.
        case "audio": main == "audio" || main == "video" || media == "application/ogg"
        default: true
        }
    }

    /// `Content-Disposition: attachment` with a name as RFC 6266 writes it, for old clients in ASCII, too.
    static func disposition(name: String?) -> String {
        guard let name, !name.isEmpty else { return "attachment" }
        let plain = name.unicodeScalars.map { scalar in
            (0x20...0x7E).contains(scalar.value) && !"\"\\%".unicodeScalars.contains(scalar) ? Character(scalar) : "_"
        }
        var encoded = ""
        for byte in name.utf8 {
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || "-._~".utf8.contains(byte)
            encoded +=
                isPlain
                ? String(Unicode.Scalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16).uppercased()
        }
        return "attachment; filename=\"\(String(plain))\"; filename*=UTF-8''\(encoded)"
    }
}

extension AttachmentStorage {
    /// What holds where `ATTACHMENTS_URL` says nothing.
    fileprivate static let usual = "file:.runner/attachments"

    /// The process's one, by `ATTACHMENTS_URL`.
    static func shared(_ services: Services, url: String?) throws(StorageFault) -> AttachmentStorage {
        let storage = try AttachmentStorage(url: url ?? usual)
        return services.shared(AttachmentStorage.self) { storage }
    }
}

/// Whether `ATTACHMENTS_URL` can be used, checked before the first file comes.
package enum AttachmentSettings {
    /// What is wrong with it, as a sentence without a secret; `nil` when it is fine.
    package static func fault(url: String?) -> String? {
        do { _ = try AttachmentStorage(url: url ?? AttachmentStorage.usual) } catch { return error.description }
        return nil
    }
}
