import COpenSSL

/// Seals secrets that are stored: credentials of channels, replayed answers. AES-256-GCM by libcrypto.
///
/// A sealed value is one version byte, 4 bytes that name the key, a random 96-bit nonce, the ciphertext and a 16-byte tag:
/// 33 bytes more than what it holds. It opens only for the context it was sealed for, so that whoever can write to the
/// database can't move one row's secret into another.
///
/// A random nonce allows 2³² sealings under one key (NIST SP 800-38D, section 8.3).
package struct Sealed: Sendable {
    private struct Key: Sendable {
        let id: [UInt8]
        let bytes: [UInt8]
    }

    private static let version: UInt8 = 1
    private static let idLength = 4
    private static let nonceLength = 12
    private static let tagLength = 16
    private static let headerLength = 1 + idLength + nonceLength

    private let current: Key
    private let retired: [Key]

    /// - Parameters:
    ///   - key: 32 bytes as 64 hexadecimal digits, or in base64 (either alphabet, padded or not).
    ///   - retired: keys that older values may still be sealed with; nothing new is.
    /// - Throws: when one of the texts is no such key.
    package init(key: String, retired: [String] = []) throws(SealedKeyError) {
        current = try Self.key(key)
        self.retired = try retired.map { text throws(SealedKeyError) in try Self.key(text) }
    }

    private static func key(_ text: String) throws(SealedKeyError) -> Key {
        let unpadded = text.prefix { $0 != "=" }
        let padding = text.dropFirst(unpadded.count)
        let readings: [[UInt8]?] = [
            Hex.decode(text),
            padding.count < 2 ? Base64.url.decode(unpadded) : nil,
            padding.count < 2 ? Base64.standard.decode(unpadded + "=") : nil,
        ]
        guard let bytes = readings.compactMap({ $0 }).first(where: { $0.count == 32 }) else { throw SealedKeyError() }
        // The id tells keys apart and nothing about them: a digest over more than the key itself.
        return Key(id: Array(SHA256.digest(Array("key id".utf8) + bytes).prefix(idLength)), bytes: bytes)
    }

    /// Seals `plaintext` under the current key, to be opened for the same `context` only, such as the row's ids.
    package func seal(_ plaintext: [UInt8], for context: String) -> [UInt8] {
        seal(plaintext, for: context, nonce: randomBytes(Self.nonceLength))
    }

    func seal(_ plaintext: [UInt8], for context: String, nonce: [UInt8]) -> [UInt8] {
        let header = [Self.version] + current.id + nonce
        let associated = header + Array(context.utf8)
        guard
            let (ciphertext, tag) = AES256GCM.encrypt(
                plaintext,
                key: current.bytes,
                nonce: nonce,
                associated: associated
            )
        else { fatalError("libcrypto has no AES-256-GCM") }
        return header + ciphertext + tag
    }

    /// What was sealed for `context`.
    package func open(_ sealed: [UInt8], for context: String) throws(SealedError) -> [UInt8] {
        guard sealed.count >= Self.headerLength + Self.tagLength, sealed[0] == Self.version else { throw .malformed }
        let id = sealed[1...Self.idLength]
        guard let key = ([current] + retired).first(where: { $0.id.elementsEqual(id) }) else { throw .unknownKey }
        let header = sealed[..<Self.headerLength]
        guard
            let plaintext = AES256GCM.decrypt(
                Array(sealed[Self.headerLength..<(sealed.count - Self.tagLength)]),
                tag: Array(sealed.suffix(Self.tagLength)),
                key: key.bytes,
                nonce: Array(header.suffix(Self.nonceLength)),
                associated: Array(header) + Array(context.utf8)
            )
        else { throw .forged }
        return plaintext
    }

    /// A digest of `text` that nobody can make or guess at without the current key; other contexts have other digests.
    package func digest(_ text: String, for context: String) -> [UInt8] {
        let key = SHA256.digest(Array("digests".utf8) + current.bytes)
        return HMAC.sha256(key: key, message: Array((context + "\u{0}" + text).utf8))
    }

    /// Whether `sealed` was made with a retired key and ought to be sealed again.
    package func isOutdated(_ sealed: [UInt8]) -> Bool {
        sealed.count > Self.idLength && !sealed[1...Self.idLength].elementsEqual(current.id)
    }
}

/// The text isn't a key.
package struct SealedKeyError: Error, Equatable, CustomStringConvertible {
    /// Completes a sentence about the setting, and never holds the text.
    package var description: String { "is not 32 bytes as 64 hexadecimal digits or in base64" }
}

package enum SealedError: Error, Equatable {
    /// Not a sealed value, or cut off.
    case malformed
    /// Sealed with a key that is neither the current one nor among the retired ones.
    case unknownKey
    /// Changed since it was sealed, or sealed for another context.
    case forged
}

/// The cipher itself (NIST SP 800-38D), with 12 bytes of nonce and 16 of tag; `nil` when libcrypto refuses.
enum AES256GCM {
    static func encrypt(
        _ plaintext: [UInt8],
        key: [UInt8],
        nonce: [UInt8],
        associated: [UInt8]
    ) -> (ciphertext: [UInt8], tag: [UInt8])? {
        guard let context = EVP_CIPHER_CTX_new() else { return nil }
        defer { EVP_CIPHER_CTX_free(context) }
        var ciphertext = [UInt8](repeating: 0, count: plaintext.count)
        var tag = [UInt8](repeating: 0, count: 16)
        var length: CInt = 0
        var none: UInt8 = 0
        guard
            EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nil, key, nonce) == 1,
            EVP_EncryptUpdate(context, nil, &length, associated, CInt(associated.count)) == 1,
            EVP_EncryptUpdate(context, &ciphertext, &length, plaintext, CInt(plaintext.count)) == 1,
            EVP_EncryptFinal_ex(context, &none, &length) == 1,
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, CInt(tag.count), &tag) == 1
        else { return nil }
        return (ciphertext, tag)
    }

    static func decrypt(
        _ ciphertext: [UInt8],
        tag: [UInt8],
        key: [UInt8],
        nonce: [UInt8],
        associated: [UInt8]
    ) -> [UInt8]? {
        guard let context = EVP_CIPHER_CTX_new() else { return nil }
        defer { EVP_CIPHER_CTX_free(context) }
        var plaintext = [UInt8](repeating: 0, count: ciphertext.count)
        var tag = tag
        var length: CInt = 0
        var none: UInt8 = 0
        guard
            EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), nil, key, nonce) == 1,
            EVP_DecryptUpdate(context, nil, &length, associated, CInt(associated.count)) == 1,
            EVP_DecryptUpdate(context, &plaintext, &length, ciphertext, CInt(ciphertext.count)) == 1,
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, CInt(tag.count), &tag) == 1,
            EVP_DecryptFinal_ex(context, &none, &length) == 1
        else { return nil }
        return plaintext
    }
}
