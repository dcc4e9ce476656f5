import COpenSSL

/// SHA-256 (FIPS 180-4) by libcrypto.
package enum SHA256 {
    /// Bytes in a digest.
    package static let length = 32

    /// The 32 bytes of the digest of `message`.
    package static func digest(_ message: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: length)
        guard EVP_Digest(message, message.count, &digest, nil, algorithm, nil) == 1 else {
            fatalError("libcrypto has no SHA-256")
        }
        return digest
    }

    /// The 32 bytes of the digest of the UTF-8 of `message`.
    package static func digest(_ message: String) -> [UInt8] {
        digest(Array(message.utf8))
    }

    // Unsafe only in the compiler's eyes: written once, before its first use, never freed, and libcrypto reads it only.
    // Fetched explicitly because an implicit fetch looks the algorithm up on every call (crypto(7)).
    nonisolated(unsafe) static let algorithm = EVP_MD_fetch(nil, "SHA256", nil)
}

/// Keyed digests (RFC 2104) by libcrypto.
package enum HMAC {
    /// The 32 bytes of HMAC-SHA256 of `message` under `key`, which may have any length.
    package static func sha256(key: [UInt8], message: [UInt8]) -> [UInt8] {
        sha256(key: key, message: message[...])
    }

    /// The 32 bytes of HMAC-SHA256 of the UTF-8 of `message` under the UTF-8 of `key`.
    package static func sha256(key: String, message: String) -> [UInt8] {
        sha256(key: Array(key.utf8), message: Array(message.utf8)[...])
    }

    /// As ``sha256(key:message:)-[UInt8]``, of a part of an array.
    package static func sha256(key: [UInt8], message: ArraySlice<UInt8>) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: SHA256.length)
        var written: UInt32 = 0
        let made = message.withUnsafeBufferPointer { message in
            COpenSSL.HMAC(
                SHA256.algorithm,
                key,
                CInt(key.count),
                message.baseAddress,
                message.count,
                &digest,
                &written
            )
        }
        guard made != nil, written == SHA256.length else { fatalError("libcrypto has no HMAC") }
        return digest
    }
}
