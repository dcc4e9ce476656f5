import COpenSSL

/// A password's scrypt digest (RFC 7914) with all that is needed to check a password against it.
///
/// Its text, which goes into the database, is `$scrypt$ln=15,r=8,p=1$SALT$DIGEST`, both parts in base64 without padding.
struct PasswordHash: Sendable, Equatable {
    let cost: PasswordCost
    let salt: [UInt8]
    let digest: [UInt8]

    private static let saltLength = 16
    private static let digestLength = 32

    /// Hashes `password` under a new random salt; takes as long as `cost` says, so never call it on the cooperative pool.
    init(of password: String, cost: PasswordCost) throws(PasswordError) {
        self.cost = cost
        salt = randomBytes(Self.saltLength)
        digest = try cost.derive(Array(password.utf8), salt: salt, length: Self.digestLength)
    }

    /// Reads the text of a hash; `nil` when it isn't one, or asks for more work than any of ours would.
    init?(_ text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard
            parts.count == 5, parts[0].isEmpty, parts[1] == "scrypt",
            let cost = PasswordCost(parts[2]),
            let salt = Self.unpadded(parts[3]), salt.count >= 8,
            let digest = Self.unpadded(parts[4]), digest.count >= 16, digest.count <= 64
        else { return nil }
        self.cost = cost
        self.salt = salt
        self.digest = digest
    }

    var text: String {
        func unpadded(_ bytes: [UInt8]) -> String {
            String(Base64.standard.encode(bytes).prefix { $0 != "=" })
        }
        return "$scrypt$\(cost)$\(unpadded(salt))$\(unpadded(digest))"
    }

    private static func unpadded(_ text: Substring) -> [UInt8]? {
        Base64.standard.decode(text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4))
    }

    /// Whether `password` is the one that was hashed; as slow as hashing it.
    func matches(_ password: String) throws(PasswordError) -> Bool {
        constantTimeEquals(try cost.derive(Array(password.utf8), salt: salt, length: digest.count), digest)
    }
}

/// The work that one hash takes: `128 · 2^ln · r` bytes of memory, and `p` times the time.
///
/// Measured with r = 8 and p = 1 on one core: ln 15 takes 100 ms and 32 MiB, 16 200 ms and 64 MiB, 17 400 ms and 128 MiB.
package struct PasswordCost: Sendable, Equatable, CustomStringConvertible {
    /// Two's logarithm of the iterations, 1…20.
    package let ln: Int
    /// Block size, 1…32.
    package let r: Int
    /// Parallelisation, 1…16, which libcrypto computes one after the other.
    package let p: Int

    package static let standard = PasswordCost(ln: 15, r: 8, p: 1)

    /// - Precondition: the values lie in the ranges of ``ln``, ``r`` and ``p``.
    package init(ln: Int, r: Int = 8, p: Int = 1) {
        precondition((1...20).contains(ln) && (1...32).contains(r) && (1...16).contains(p), "scrypt cost out of range")
        (self.ln, self.r, self.p) = (ln, r, p)
    }

    /// Reads `ln=15,r=8,p=1`.
    init?(_ text: some StringProtocol) {
        let fields = text.split(separator: ",", omittingEmptySubsequences: false)
        func value(_ index: Int, _ name: String, _ range: ClosedRange<Int>) -> Int? {
            let field = fields[index]
            guard field.hasPrefix(name + "="), let value = Int(field.dropFirst(name.count + 1)), range.contains(value)
            else { return nil }
            return value
        }
        guard
            fields.count == 3,
            let ln = value(0, "ln", 1...20), let r = value(1, "r", 1...32), let p = value(2, "p", 1...16)
        else { return nil }
        self.init(ln: ln, r: r, p: p)
    }

    package var description: String { "ln=\(ln),r=\(r),p=\(p)" }

    func derive(_ password: [UInt8], salt: [UInt8], length: Int) throws(PasswordError) -> [UInt8] {
        // libcrypto refuses what needs more than 32 MiB unless told otherwise; the spare covers its own buffers.
        let memory = UInt64(128 * r) * (UInt64(1) << UInt64(ln) + UInt64(p) + 2) + (1 << 20)
        var derived = [UInt8](repeating: 0, count: length)
        let done = password.withUnsafeBytes { password in
            EVP_PBE_scrypt(
                password.baseAddress.map { $0.assumingMemoryBound(to: CChar.self) },
                password.count,
                salt,
                salt.count,
                UInt64(1) << UInt64(ln),
                UInt64(r),
                UInt64(p),
                memory,
                &derived,
                length
            )
        }
        guard done == 1 else { throw .outOfMemory }
        return derived
    }
}

package enum PasswordError: Error, Equatable {
    /// As many as may wait are waiting already; the caller may try again in a second.
    case busy
    /// The stored text is no hash of ours, or asks for absurd work.
    case unreadableHash
    /// The memory for the hash could not be had.
    case outOfMemory
}
