import Testing

@testable import Security

@Suite struct Base64Tests {
    /// RFC 4648, section 10.
    static let vectors = [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ]

    @Test(arguments: vectors) func encodesTheVectorsOfTheRFC(plain: String, encoded: String) {
        let bytes = Array(plain.utf8)

        #expect(Base64.standard.encode(bytes) == encoded)
        #expect(Base64.standard.decode(encoded) == bytes)
        #expect(Base64.url.encode(bytes) == String(encoded.prefix { $0 != "=" }))
        #expect(Base64.url.decode(String(encoded.prefix { $0 != "=" })) == bytes)
    }

    @Test func usesTheAlphabetOfEachKind() {
        #expect(Base64.standard.encode([0xfb, 0xff, 0xbf]) == "+/+/")
        #expect(Base64.url.encode([0xfb, 0xff, 0xbf]) == "-_-_")
        #expect(Base64.standard.decode("-_-_") == nil)
        #expect(Base64.url.decode("+/+/") == nil)
    }

    @Test(arguments: ["Z", "Zg=", "Zg", "Zh==", "Zg==\n", "Z===", "====", "Zm9v Zm9v", "Zm9vY", "Zg==Zg==", "é=="])
    func refusesWhatItWouldNotHaveWritten(text: String) {
        #expect(Base64.standard.decode(text) == nil)
    }

    @Test(arguments: ["Zh", "Zg==", "Z", "Zm9", "Zm9v."]) func refusesPaddingAndStrayBitsInURLs(text: String) {
        #expect(Base64.url.decode(text) == nil)
    }

    @Test func hexadecimalReadsBothCasesAndWritesLower() {
        #expect(Hex.encode([0x00, 0x9f, 0xff]) == "009fff")
        #expect(Hex.decode("009fFF") == [0x00, 0x9f, 0xff])
        #expect(Hex.decode("0") == nil)
        #expect(Hex.decode("0g") == nil)
    }

    @Test func comparesWholeValues() {
        #expect(constantTimeEquals([1, 2, 3], [1, 2, 3]))
        #expect(!constantTimeEquals([1, 2, 3], [1, 2, 4]))
        #expect(!constantTimeEquals([1, 2, 3], [1, 2]))
        #expect(constantTimeEquals([], []))
    }
}
