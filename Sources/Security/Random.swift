import COpenSSL

/// `count` bytes of libcrypto's generator, fit for keys.
///
/// There is no going on without randomness, so its absence ends the process.
package func randomBytes(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    guard RAND_bytes(&bytes, CInt(count)) == 1 else { fatalError("libcrypto's random generator has failed") }
    return bytes
}

/// Secrets that are given to somebody once and stored as their digest only: refresh tokens, invites, API keys.
package enum Token {
    /// A new token: `bytes` random bytes as base64url, 43 characters for 32 bytes.
    package static func random(bytes: Int = 32) -> String {
        Base64.url.encode(randomBytes(bytes))
    }

    /// What to store of `token` and to look it up by: its SHA-256.
    ///
    /// A plain digest is enough for 32 random bytes, which nobody can guess; for passwords there is ``PasswordHasher``.
    package static func digest(_ token: String) -> [UInt8] {
        SHA256.digest(token)
    }
}
