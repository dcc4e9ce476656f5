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

/// A SHA-256 of more than memory should hold, piece by piece.
package final class SHA256Stream {
    private let context: OpaquePointer

    package init() {
        guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex2(context, SHA256.algorithm, nil) == 1 else {
            fatalError("libcrypto has no SHA-256")
        }
        self.context = context
    }

    deinit { EVP_MD_CTX_free(context) }

    package func update(_ bytes: [UInt8]) {
        guard EVP_DigestUpdate(context, bytes, bytes.count) == 1 else { fatalError("libcrypto is out of memory") }
    }

    /// The 32 bytes of the digest of all that was handed over; to be asked for once, at the end.
    package func digest() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: SHA256.length)
        guard EVP_DigestFinal_ex(context, &digest, nil) == 1 else { fatalError("libcrypto is out of memory") }
        return digest
    }
}

/// Keyed digests (RFC 2104) by libcrypto.
package enum HMAC {
    /// The 32 bytes of HMAC-SHA256 of `message` under `key`, which may have any length.
    package static func sha256(key: [UInt8], message: [UInt8]) -> [UInt8] {
        sha256(key: key, message: message[...])
    }

    /// The 20 bytes of HMAC-SHA1 of `message` under `key`, for OAuth 1.0a alone, which knows no better.
    package static func sha1(key: [UInt8], message: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 20)
        var written = 0
        // An empty key would be taken for no key; see ``Key``.
        let key = key.isEmpty ? [0] : key
        guard
            EVP_Q_mac(
                nil,
                "HMAC",
                nil,
                "SHA1",
                nil,
                key,
                key.count,
                message,
                message.count,
                &digest,
                digest.count,
                &written
            ) != nil, written == digest.count
        else { fatalError("libcrypto has no HMAC-SHA1") }
        return digest
    }

    /// The 32 bytes of HMAC-SHA256 of the UTF-8 of `message` under the UTF-8 of `key`.
    package static func sha256(key: String, message: String) -> [UInt8] {
        sha256(key: Array(key.utf8), message: Array(message.utf8)[...])
    }

    /// As ``sha256(key:message:)-[UInt8]``, of a part of an array.
    package static func sha256(key: [UInt8], message: ArraySlice<UInt8>) -> [UInt8] {
        Key(key).sha256(message)
    }

    /// A key that is used again and again: libcrypto has digested it once and for all.
    package final class Key: @unchecked Sendable {
        // Sendable because the context is only ever copied from after `init`: libcrypto's EVP_MAC_CTX_dup reads it and
        // counts references atomically. It is freed once, when nobody has it any more.
        private let context: OpaquePointer

        package init(_ bytes: [UInt8]) {
            guard let context = EVP_MAC_CTX_new(HMAC.algorithm) else { fatalError("libcrypto has no HMAC") }
            self.context = context
            // An empty key would be taken for no key, but HMAC pads keys with zeroes: one of them is the same key.
            let bytes = bytes.isEmpty ? [0] : bytes
            var name = Array("SHA256".utf8CString)
            let done = name.withUnsafeMutableBufferPointer { name in
                let parameters = [
                    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.baseAddress, 0),
                    OSSL_PARAM_construct_end(),
                ]
                return EVP_MAC_init(context, bytes, bytes.count, parameters)
            }
            guard done == 1 else { fatalError("libcrypto has no HMAC-SHA256") }
        }

        deinit {
            EVP_MAC_CTX_free(context)
        }

        /// The 32 bytes of HMAC-SHA256 of `message` under this key.
        package func sha256(_ message: ArraySlice<UInt8>) -> [UInt8] {
            var digest = [UInt8](repeating: 0, count: SHA256.length)
            var written = 0
            guard let copy = EVP_MAC_CTX_dup(context) else { fatalError("libcrypto is out of memory") }
            defer { EVP_MAC_CTX_free(copy) }
            let done = message.withUnsafeBufferPointer { message in
                EVP_MAC_update(copy, message.baseAddress, message.count) == 1
                    && EVP_MAC_final(copy, &digest, &written, digest.count) == 1
            }
            guard done, written == SHA256.length else { fatalError("libcrypto has no HMAC-SHA256") }
            return digest
        }
    }

    // Unsafe only in the compiler's eyes; see ``SHA256/algorithm``.
    nonisolated(unsafe) private static let algorithm = EVP_MAC_fetch(nil, "HMAC", nil)
}
