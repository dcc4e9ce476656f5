package import Foundation

/// What an access token says: who, of which organisation, in which role, since which log-in, for how long.
package struct AccessToken: Sendable, Equatable {
    /// The user.
    package let sub: UUID
    /// The organisation.
    package let org: UUID
    /// `admin` or `agent`; what else it says must be refused by whoever knows the roles.
    package let role: String
    /// The log-in's family of refresh tokens.
    package let sid: UUID
    /// This token.
    package let jti: UUID
    /// Issued at, in seconds since 1970.
    package let iat: Int
    /// Expires at, in seconds since 1970; from this second on the token is refused.
    package let exp: Int

    package init(sub: UUID, org: UUID, role: String, sid: UUID, jti: UUID = UUID.v7(), iat: Int, exp: Int) {
        (self.sub, self.org, self.role, self.sid) = (sub, org, role, sid)
        (self.jti, self.iat, self.exp) = (jti, iat, exp)
    }

    /// A token issued at `now`, cut to whole seconds, that is good for `lifetime`.
    package init(sub: UUID, org: UUID, role: String, sid: UUID, now: Date, lifetime: Duration) {
        let iat = Int(now.timeIntervalSince1970.rounded(.down))
        self.init(sub: sub, org: org, role: role, sid: sid, iat: iat, exp: iat + Int(lifetime.components.seconds))
    }
}

/// Signs and verifies access tokens: JSON Web Tokens (RFC 7519) signed with HMAC-SHA256.
///
/// The algorithm is pinned: what the token's header wants is compared, never obeyed. A verification takes a few µs and
/// neither JSONDecoder nor a lock; nothing is remembered.
package struct JWT: Sendable {
    /// How far ahead of ours the clock of the process that issued a token may be, in seconds.
    static let clockSkew = 60
    /// Longer than any token we issue; what is longer isn't read.
    static let longest = 2048

    private static let header = Base64.url.encodeUTF8(Array(#"{"alg":"HS256","typ":"JWT"}"#.utf8))
    private static let dot = UInt8(ascii: ".")

    private let key: HMAC.Key

    /// - Parameter secret: at least 32 bytes of UTF-8, as RFC 7518, section 3.2, wants for HS256.
    /// - Throws: when it is shorter.
    package init(secret: String) throws(JWTSecretError) {
        let bytes = Array(secret.utf8)
        guard bytes.count >= 32 else { throw JWTSecretError() }
        key = HMAC.Key(bytes)
    }

    /// The signed token, about 400 ASCII characters.
    ///
    /// - Precondition: the role holds only ASCII letters, digits, `-` and `_`, so that it needs no escaping.
    package func sign(_ token: AccessToken) -> String {
        precondition(token.role.utf8.allSatisfy(Claims.isPlain), "the role needs escaping")
        func text(_ id: UUID) -> String { id.uuidString.lowercased() }
        let payload = """
            {"sub":"\(text(token.sub))","org":"\(text(token.org))","role":"\(token.role)","sid":"\(text(token.sid))",\
            "iat":\(token.iat),"exp":\(token.exp),"jti":"\(text(token.jti))"}
            """
        var signed = Self.header
        signed.append(Self.dot)
        signed += Base64.url.encodeUTF8(Array(payload.utf8))
        let signature = key.sha256(signed[...])
        signed.append(Self.dot)
        signed += Base64.url.encodeUTF8(signature)
        return String(decoding: signed, as: UTF8.self)
    }

    /// The claims of a token that we signed and that is good at `now`.
    ///
    /// - Throws: why not. Callers answer 401 whichever it is; the case is for the log.
    package func verify(_ token: some StringProtocol, now: Date) throws(JWTError) -> AccessToken {
        let text = Array(token.utf8)
        guard
            text.count <= Self.longest,
            let first = text.firstIndex(of: Self.dot),
            let second = text[(first + 1)...].firstIndex(of: Self.dot),
            let signature = Base64.url.decode(utf8: text[(second + 1)...])
        else { throw .malformed }
        guard try Self.isOurs(header: text[..<first]) else { throw .wrongAlgorithm }
        guard constantTimeEquals(key.sha256(text[..<second]), signature) else { throw .forged }
        guard
            let payload = Base64.url.decode(utf8: text[(first + 1)..<second]),
            let claims = Claims(json: payload)?.accessToken
        else { throw .malformed }

        let now = now.timeIntervalSince1970
        guard now < Double(claims.exp) else { throw .expired }
        guard Double(claims.iat) <= now + Double(Self.clockSkew) else { throw .issuedInTheFuture }
        return claims
    }

    /// Whether the header names HS256. Our own is recognised by its bytes; another library's spelling is read.
    private static func isOurs(header: ArraySlice<UInt8>) throws(JWTError) -> Bool {
        if header.elementsEqual(Self.header) { return true }
        guard let json = Base64.url.decode(utf8: header), let members = FlatJSON(json) else {
            throw .malformed
        }
        // RFC 7515, section 4.1.11: who doesn't understand an extension that is critical must refuse.
        guard members["crit"] == nil else { throw .malformed }
        if members["typ"] != nil {
            guard let type = members.string("typ"), String(decoding: type, as: UTF8.self).uppercased() == "JWT" else {
                throw .malformed
            }
        }
        return members.string("alg").map { $0.elementsEqual("HS256".utf8) } ?? false
    }
}

/// The secret has fewer than 32 bytes.
package struct JWTSecretError: Error, Equatable, CustomStringConvertible {
    /// Completes a sentence about the setting.
    package var description: String { "is shorter than 32 bytes" }
}

package enum JWTError: Error, Equatable {
    /// Not three parts of base64url without padding, or not the claims of an access token.
    case malformed
    /// The header wants another algorithm than HS256, `none` included.
    case wrongAlgorithm
    /// The signature isn't ours.
    case forged
    case expired
    /// Issued more than a minute ahead of our clock.
    case issuedInTheFuture
}

/// The claims in a token's payload, read strictly: each exactly once and of its type; others are passed over.
struct Claims {
    let accessToken: AccessToken

    init?(json: [UInt8]) {
        guard let members = FlatJSON(json) else { return nil }
        func id(_ name: StaticString) -> UUID? { members.string(name).flatMap { UUID(ascii: $0) } }
        guard
            let sub = id("sub"), let org = id("org"), let sid = id("sid"), let jti = id("jti"),
            let iat = members.number("iat"), let exp = members.number("exp"), 0 <= iat, iat < exp,
            let role = members.string("role"), !role.isEmpty, role.allSatisfy(Self.isPlain)
        else { return nil }
        // "Not before" isn't ours, but whoever sets it means it; it is good only where it says no more than `iat`.
        if members["nbf"] != nil {
            guard let notBefore = members.number("nbf"), notBefore <= iat else { return nil }
        }
        let roleText = String(decoding: role, as: UTF8.self)
        accessToken = AccessToken(sub: sub, org: org, role: roleText, sid: sid, jti: jti, iat: iat, exp: exp)
    }

    static func isPlain(_ character: UInt8) -> Bool {
        switch character {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default:
            false
        }
    }
}
