import Foundation
import Testing

@testable import Security

@Suite struct JWTTests {
    private static let secret = "0123456789abcdef0123456789abcdef"
    private static let header = #"{"alg":"HS256","typ":"JWT"}"#
    private static let now = Date(timeIntervalSince1970: 1_800_000_000)
    private static let token = AccessToken(
        sub: UUID.v7(),
        org: UUID.v7(),
        role: "admin",
        sid: UUID.v7(),
        now: now,
        lifetime: .seconds(900)
    )

    private let jwt: JWT

    init() throws {
        jwt = try JWT(secret: Self.secret)
    }

    /// RFC 7515, appendix A.1.
    @Test func signsAsTheRFCDoes() throws {
        let input = """
            eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
            eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ
            """
        let key = try #require(
            Base64.url.decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
        )

        let signature = HMAC.sha256(key: key, message: Array(input.utf8))

        #expect(Base64.url.encode(signature) == "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    }

    @Test func verifiesWhatItSigned() throws {
        let text = jwt.sign(Self.token)

        #expect(try jwt.verify(text, now: Self.now) == Self.token)
        #expect(try jwt.verify(text, now: Self.now + 899.9) == Self.token)
        #expect(text.split(separator: ".").count == 3)
        #expect(!text.contains("="))
    }

    @Test func readsWhatAnotherLibrarySigned() throws {
        let payload = """
            { "exp": \(Self.token.exp).25, "iat": \(Self.token.iat), "aud": null, "admin": true, "note": "a\\"b",
              "jti": "\(Self.token.jti)", "sid": "\(Self.token.sid)", "role": "admin",
              "org": "\(Self.token.org)", "sub": "\(Self.token.sub)" }
            """

        let text = forge(header: #"{ "typ":"jwt", "alg":"HS256", "kid":"1" }"#, payload: payload)

        #expect(try jwt.verify(text, now: Self.now) == Self.token)
    }

    @Test func refusesATokenAtTheSecondItExpires() {
        #expect(throws: JWTError.expired) { try jwt.verify(jwt.sign(Self.token), now: Self.now + 900) }
    }

    @Test func refusesATokenFromTheFuture() throws {
        let text = jwt.sign(Self.token)

        #expect(throws: JWTError.issuedInTheFuture) { try jwt.verify(text, now: Self.now - 61) }
        #expect(try jwt.verify(text, now: Self.now - 59) == Self.token)
    }

    @Test func refusesATokenOfAnotherSecret() throws {
        let other = try JWT(secret: String(Self.secret.reversed()))

        #expect(throws: JWTError.forged) { try jwt.verify(other.sign(Self.token), now: Self.now) }
    }

    @Test func noticesEveryChangedCharacter() {
        let text = Array(jwt.sign(Self.token).utf8)

        for index in text.indices {
            var changed = text
            changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(throws: JWTError.self) { try jwt.verify(String(decoding: changed, as: UTF8.self), now: Self.now) }
        }
    }

    @Test(arguments: [
        #"{"alg":"none","typ":"JWT"}"#, #"{"alg":"HS512"}"#, #"{"alg":"hs256"}"#, #"{"alg":"RS256","typ":"JWT"}"#,
        #"{"typ":"JWT"}"#, "{}", #"{"alg":null}"#, #"{"alg":["HS256"]}"#, #"{"alg":"HS256","alg":"HS256"}"#,
        #"{"alg":"HS256","crit":"b64"}"#, #"{"alg":"HS256","typ":"JWE"}"#, "", "[]", "null",
        #"{"alg":"HS256"}{}"#, #"{"\u0061lg":"HS256"}"#,
    ]) func pinsTheAlgorithm(header: String) {
        #expect(throws: JWTError.self) { try jwt.verify(forge(header: header, payload: payload()), now: Self.now) }
    }

    @Test func refusesUnsignedTokens() {
        let parts = jwt.sign(Self.token).split(separator: ".")
        let none = Base64.url.encode(Array(#"{"alg":"none"}"#.utf8))

        for text in [
            "\(parts[0]).\(parts[1]).", "\(parts[0]).\(parts[1])", "\(none).\(parts[1]).", "..", ".", "",
            "\(parts[0]).\(parts[1]).\(parts[2]).\(parts[2])", "\(parts[0]).\(parts[1]).\(parts[2])=",
            " \(parts[0]).\(parts[1]).\(parts[2])", "\(parts[0])..\(parts[2])", String(repeating: "a", count: 5000),
        ] {
            #expect(throws: JWTError.self) { try jwt.verify(text, now: Self.now) }
        }
    }

    /// Claims as JSON, of which one is replaced, or taken out where the replacement is nil.
    static let badClaims: [(String, String?)] = {
        var claims: [(String, String?)] = []
        for name in ["sub", "org", "role", "sid", "jti", "iat", "exp"] {
            claims.append((name, nil))
        }
        let badIDs = ["null", "1", "\"\"", "\"not-a-uuid\"", "\"0189f7ea-ae2c-7f6b-8b8b-0189f7eaae2\"", "{}"]
        for name in ["sub", "org", "sid", "jti"] {
            claims += badIDs.map { (name, $0) }
        }
        let badTimes = [
            "null", "\"1800000000\"", "1e12", "-1800000000", "01800000000", "1800000000.", "99999999999999999999", "-",
        ]
        for name in ["iat", "exp"] {
            claims += badTimes.map { (name, $0) }
        }
        claims += ["\"\"", "1", "\"\\u0061dmin\"", "\"ad min\""].map { ("role", $0) }
        claims += [("exp", "1800000000"), ("nbf", "1800000100"), ("nbf", "null")]
        return claims
    }()

    @Test(arguments: badClaims) func refusesClaimsThatAreNotOurs(name: String, value: String?) {
        #expect(throws: JWTError.self, "\(name): \(value ?? "absent")") {
            try jwt.verify(forge(header: Self.header, payload: payload(replacing: name, with: value)), now: Self.now)
        }
    }

    @Test func refusesPayloadsThatAreNoPlainObject() {
        let good = payload()
        let open = String(good.dropLast())
        let payloads = [
            "", "[]", "null", "{", open, good + "x", "[" + good + "]", open + ",}", open + #","role":"admin"}"#,
            open + #","x":{"y":1}}"#, open + ",\"x\":\"\u{1}\"}", open + ",x:1}", open + #","x":nul}"#,
        ]
        for payload in payloads {
            #expect(throws: JWTError.malformed, "\(payload)") {
                try jwt.verify(forge(header: Self.header, payload: payload), now: Self.now)
            }
        }
        #expect(throws: Never.self) { try jwt.verify(forge(header: Self.header, payload: good), now: Self.now) }
    }

    @Test func wantsASecretOf32Bytes() {
        #expect(throws: JWTSecretError.self) { try JWT(secret: String(repeating: "x", count: 31)) }
    }

    /// A token with any header and payload, signed with our secret.
    private func forge(header: String, payload: String) -> String {
        let input = Base64.url.encode(Array(header.utf8)) + "." + Base64.url.encode(Array(payload.utf8))
        return input + "." + Base64.url.encode(HMAC.sha256(key: Self.secret, message: input))
    }

    private func payload(replacing name: String? = nil, with value: String? = nil) -> String {
        let token = Self.token
        var members = [
            "sub": "\"\(token.sub)\"", "org": "\"\(token.org)\"", "role": "\"admin\"", "sid": "\"\(token.sid)\"",
            "jti": "\"\(token.jti)\"", "iat": "\(token.iat)", "exp": "\(token.exp)",
        ]
        if let name { members[name] = value }
        return "{" + members.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ",") + "}"
    }
}
