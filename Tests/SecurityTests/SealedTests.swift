import Testing

@testable import Security

@Suite struct SealedTests {
    private let key = String(repeating: "0123456789abcdef", count: 4)
    private let secret = Array("EAAG-page-token".utf8)

    @Test func aDigestIsOfItsTextItsContextAndTheKey() throws {
        let sealed = try Sealed(key: key)
        let digest = sealed.digest("+4915550001", for: "a")

        #expect(digest.count == 32)
        #expect(try Sealed(key: key).digest("+4915550001", for: "a") == digest)
        #expect(sealed.digest("+4915550002", for: "a") != digest)
        #expect(sealed.digest("+4915550001", for: "b") != digest)
        #expect(try Sealed(key: String(key.reversed())).digest("+4915550001", for: "a") != digest)
    }

    /// Test cases 14 and 16 of the GCM specification (McGrew and Viega), AES-256.
    @Test func encryptsTheVectorsOfTheSpecification() throws {
        let zeroes = try #require(
            AES256GCM.encrypt(
                [UInt8](repeating: 0, count: 16),
                key: [UInt8](repeating: 0, count: 32),
                nonce: [UInt8](repeating: 0, count: 12),
                associated: []
            )
        )
        let full = try #require(
            AES256GCM.encrypt(
                bytes(
                    """
                    d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                    1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39
                    """
                ),
                key: bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"),
                nonce: bytes("cafebabefacedbaddecaf888"),
                associated: bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2")
            )
        )

        #expect(Hex.encode(zeroes.ciphertext) == "cea7403d4d606b6e074ec5d3baf39d18")
        #expect(Hex.encode(zeroes.tag) == "d0d1c8a799996bf0265b98b5d48ab919")
        #expect(
            Hex.encode(full.ciphertext) == """
                522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662
                """
        )
        #expect(Hex.encode(full.tag) == "76fc6ece0f4e1768cddf8853bb2d551b")
    }

    @Test(arguments: [0, 1, 15, 16, 17, 4096]) func opensWhatItSealed(length: Int) throws {
        let box = try Sealed(key: key)
        let plaintext = randomBytes(length)

        let sealed = box.seal(plaintext, for: "channel:1")

        #expect(sealed.count == length + 33)
        #expect(try box.open(sealed, for: "channel:1") == plaintext)
        #expect(box.seal(plaintext, for: "channel:1") != sealed)
    }

    @Test func noticesEveryChangedByte() throws {
        let box = try Sealed(key: key)
        let sealed = box.seal(secret, for: "channel:1")

        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 1
            #expect(throws: SealedError.self) { try box.open(changed, for: "channel:1") }
        }
        for length in sealed.indices {
            #expect(throws: SealedError.self) { try box.open(Array(sealed.prefix(length)), for: "channel:1") }
        }
    }

    @Test func opensOnlyForTheContextItWasSealedFor() throws {
        let box = try Sealed(key: key)
        let sealed = box.seal(secret, for: "channel:1")

        #expect(throws: SealedError.forged) { try box.open(sealed, for: "channel:2") }
    }

    @Test func opensWithARetiredKeyAndSaysSo() throws {
        let newKey = String(repeating: "fe", count: 32)
        let old = try Sealed(key: key).seal(secret, for: "channel:1")
        let box = try Sealed(key: newKey, retired: [key])

        #expect(try box.open(old, for: "channel:1") == secret)
        #expect(box.isOutdated(old))
        #expect(!box.isOutdated(box.seal(secret, for: "channel:1")))
        #expect(throws: SealedError.unknownKey) { try Sealed(key: newKey).open(old, for: "channel:1") }
    }

    @Test func takesTheKeyInEveryUsualSpelling() throws {
        let raw = (0..<32).map { UInt8($0 * 8 + 7) }
        let sealed = try Sealed(key: Hex.encode(raw)).seal(secret, for: "x")

        for spelling in [
            Hex.encode(raw).uppercased(), Base64.standard.encode(raw),
            Base64.url.encode(raw), Base64.url.encode(raw) + "=",
        ] {
            #expect(try Sealed(key: spelling).open(sealed, for: "x") == secret, "\(spelling)")
        }
    }

    @Test(arguments: ["", "short", String(repeating: "ab", count: 31), String(repeating: "zz", count: 32)])
    func refusesWhatIsNoKeyWithoutQuotingIt(text: String) {
        let error = #expect(throws: SealedKeyError.self) { try Sealed(key: text) }

        #expect(error?.description == "is not 32 bytes as 64 hexadecimal digits or in base64")
    }

    private func bytes(_ text: String) -> [UInt8] {
        Hex.decode(text) ?? []
    }
}
