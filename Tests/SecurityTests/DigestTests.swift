import Testing

@testable import Security

@Suite struct DigestTests {
    @Test func sha256AgreesWithFIPS180() {
        #expect(
            Hex.encode(SHA256.digest("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        )
        #expect(Hex.encode(SHA256.digest("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }

    /// RFC 4231, test cases 1–4, 6 and 7: key, message, digest.
    static let vectors: [(key: [UInt8], message: [UInt8], digest: String)] = [
        (
            [UInt8](repeating: 0x0b, count: 20), Array("Hi There".utf8),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        (
            Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        (
            [UInt8](repeating: 0xaa, count: 20), [UInt8](repeating: 0xdd, count: 50),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
        ),
        (
            Array(1...25), [UInt8](repeating: 0xcd, count: 50),
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
        ),
        (
            [UInt8](repeating: 0xaa, count: 131), Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
        (
            [UInt8](repeating: 0xaa, count: 131),
            Array(
                """
                This is a test using a larger than block-size key and a larger than block-size data. \
                The key needs to be hashed before being used by the HMAC algorithm.
                """.utf8
            ),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
        ),
    ]

    @Test(arguments: 0..<vectors.count) func hmacAgreesWithRFC4231(index: Int) {
        let vector = Self.vectors[index]

        #expect(Hex.encode(HMAC.sha256(key: vector.key, message: vector.message)) == vector.digest)
    }

    @Test func hmacTakesAnEmptyKeyAndAnEmptyMessage() {
        #expect(
            Hex.encode(HMAC.sha256(key: "", message: ""))
                == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
        )
    }

    @Test func tokensAreLongRandomAndStoredAsDigests() {
        let token = Token.random()

        #expect(token.utf8.count == 43)
        #expect(Base64.url.decode(token)?.count == 32)
        #expect(Token.random() != token)
        #expect(Token.digest(token) == SHA256.digest(token))
    }
}
