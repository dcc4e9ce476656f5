import COpenSSL

// What can't go on here ends the process: without SHA-256 no token and no signature can be checked, and a process out of
// memory has nothing better to do.

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
        Key(key, sha1Template).digest(of: message[...], length: 20)
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

        package convenience init(_ bytes: [UInt8]) {
            self.init(bytes, HMAC.sha256Template)
        }

        fileprivate init(_ bytes: [UInt8], _ template: OpaquePointer) {
            guard let context = EVP_MAC_CTX_dup(template) else { fatalError("libcrypto is out of memory") }
            self.context = context
            // An empty key would be taken for no key, but HMAC pads keys with zeroes: one of them is the same key.
            let bytes = bytes.isEmpty ? [0] : bytes
            guard EVP_MAC_init(context, bytes, bytes.count, nil) == 1 else { fatalError("libcrypto takes no key") }
        }

        deinit {
            EVP_MAC_CTX_free(context)
        }

        /// The 32 bytes of HMAC-SHA256 of `message` under this key.
        package func sha256(_ message: ArraySlice<UInt8>) -> [UInt8] { digest(of: message, length: SHA256.length) }

        fileprivate func digest(of message: ArraySlice<UInt8>, length: Int) -> [UInt8] {
            var digest = [UInt8](repeating: 0, count: length)
            var written = 0
            guard let copy = EVP_MAC_CTX_dup(context) else { fatalError("libcrypto is out of memory") }
            defer { EVP_MAC_CTX_free(copy) }
            let done = message.withUnsafeBufferPointer { message in
                EVP_MAC_update(copy, message.baseAddress, message.count) == 1
                    && EVP_MAC_final(copy, &digest, &written, digest.count) == 1
            }
            guard done, written == length else { fatalError("libcrypto could not finish an HMAC") }
            return digest
        }
    }

    // Contexts that know their digest; each key is put into a copy, since one made anew looks the digest up.
    //
    // Unsafe only in the compiler's eyes; they are only ever copied from.
    nonisolated(unsafe) private static let sha256Template = template(of: "SHA256")
    nonisolated(unsafe) private static let sha1Template = template(of: "SHA1")

    private static func template(of digest: String) -> OpaquePointer {
        guard let algorithm = EVP_MAC_fetch(nil, "HMAC", nil), let context = EVP_MAC_CTX_new(algorithm) else {
            fatalError("libcrypto has no HMAC")
        }
        // The parameters keep both pointers: a string that is lent for the call alone would be gone when they are read.
        let key = Array(OSSL_MAC_PARAM_DIGEST.utf8CString)
        var name = Array(digest.utf8CString)
        let done = key.withUnsafeBufferPointer { key in
            name.withUnsafeMutableBufferPointer { name in
                let parameters = [
                    OSSL_PARAM_construct_utf8_string(key.baseAddress, name.baseAddress, 0),
                    OSSL_PARAM_construct_end(),
                ]
                // Some key: not every 3.0 copies a context that has none.
                return EVP_MAC_init(context, [0], 1, parameters)
            }
        }
        guard done == 1 else { fatalError("libcrypto has no HMAC-\(digest)") }
        return context
    }
}
