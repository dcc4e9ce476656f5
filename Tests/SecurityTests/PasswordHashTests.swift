import Testing

@testable import Security

@Suite struct PasswordHashTests {
    /// RFC 7914, section 12: password, salt, ln, r, p, digest.
    static let vectors: [(String, String, PasswordCost, String)] = [
        (
            "password", "NaCl", PasswordCost(ln: 10, r: 8, p: 16),
            """
            fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162\
            2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640
            """
        ),
        (
            "pleaseletmein", "SodiumChloride", PasswordCost(ln: 14, r: 8, p: 1),
            """
            7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2\
            d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887
            """
        ),
        (
            "", "", PasswordCost(ln: 4, r: 1, p: 1),
            """
            77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442\
            fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906
            """
        ),
    ]

    @Test(arguments: 0..<vectors.count) func derivesTheVectorsOfTheRFC(index: Int) throws {
        let (password, salt, cost, digest) = Self.vectors[index]

        let derived = try cost.derive(Array(password.utf8), salt: Array(salt.utf8), length: 64)

        #expect(Hex.encode(derived) == digest)
    }

    @Test func readsItsOwnTextAgain() throws {
        let hash = try PasswordHash(of: "correct horse", cost: PasswordCost(ln: 4))

        #expect(hash.text.hasPrefix("$scrypt$ln=4,r=8,p=1$"))
        #expect(PasswordHash(hash.text) == hash)
        #expect(try hash.matches("correct horse"))
        #expect(try !hash.matches("correct horsf"))
        #expect(try !hash.matches(""))
    }

    @Test(arguments: [
        "", "plain", "$scrypt$", "$scrypt$ln=15,r=8$c2FsdHNhbHRzYWx0$AAAA", "$argon2id$ln=4,r=8,p=1$c2FsdHNhbHQ$AAAA",
        "$scrypt$ln=40,r=8,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=4,r=8,p=1$c2FsdHNhbHRzYWx0c2E$AAAA",
        "$scrypt$ln=4,r=8,p=1$!!$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ]) func refusesWhatIsNoHash(text: String) {
        #expect(PasswordHash(text) == nil)
    }
}

@Suite struct PasswordHasherTests {
    private let quick = PasswordCost(ln: 4)

    @Test func acceptsThePasswordThatWasHashed() async throws {
        let hasher = PasswordHasher(cost: quick)

        let stored = try await hasher.hash("pässwörd 🔑")

        #expect(try await hasher.verify("pässwörd 🔑", against: stored) == .right)
        #expect(try await hasher.verify("pässwörd", against: stored) == .wrong)
    }

    @Test func saltsEveryHash() async throws {
        let hasher = PasswordHasher(cost: quick)

        #expect(try await hasher.hash("same") != hasher.hash("same"))
    }

    @Test func asksForANewHashWhenTheCostHasChanged() async throws {
        let stored = try await PasswordHasher(cost: quick).hash("password")

        let verdict = try await PasswordHasher(cost: PasswordCost(ln: 5)).verify("password", against: stored)

        #expect(verdict == .rightButOutdated)
    }

    @Test func takesAsLongForAnUnknownUser() async throws {
        let hasher = PasswordHasher(cost: PasswordCost(ln: 14))
        let stored = try await hasher.hash("password")
        let clock = ContinuousClock()

        // The shortest of several, one in turn with the other: the rest of the machine only ever adds.
        var known: [Duration] = []
        var unknown: [Duration] = []
        for _ in 0..<8 {
            known.append(try await clock.measure { _ = try await hasher.verify("wrong", against: stored) })
            unknown.append(try await clock.measure { _ = try await hasher.verify("wrong", against: nil) })
        }

        let shortest = try #require(known.min())
        #expect(try #require(unknown.min()) > shortest / 2)
        #expect(try await hasher.verify("password", against: nil) == .wrong)
    }

    @Test func refusesAHashThatIsNone() async {
        await #expect(throws: PasswordError.unreadableHash) {
            try await PasswordHasher(cost: quick).verify("password", against: "plain text")
        }
    }

    @Test func isBusyWhenTheLineIsFull() async {
        let hasher = PasswordHasher(cost: PasswordCost(ln: 13), threads: 1, waiting: 2)

        let outcomes = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    do {
                        _ = try await hasher.hash("password")
                        return true
                    } catch {
                        #expect(error as? PasswordError == .busy)
                        return false
                    }
                }
            }
            return await group.reduce(into: [Bool]()) { $0.append($1) }
        }

        #expect(outcomes.filter { $0 }.count >= 3)
        #expect(outcomes.contains(false))
        #expect(hasher.load == 0)
        await #expect(throws: Never.self) { try await hasher.hash("afterwards") }
    }

    @Test func aCancelledTaskLeavesTheLine() async throws {
        let hasher = PasswordHasher(cost: PasswordCost(ln: 16), threads: 1, waiting: 10)
        let first = Task { try await hasher.hash("first") }
        while hasher.load == 0 { await Task.yield() }
        let second = Task { try await hasher.hash("second") }
        while hasher.load < 2 { await Task.yield() }

        second.cancel()

        await #expect(throws: CancellationError.self) { try await second.value }
        #expect(hasher.load == 1)
        _ = try await first.value
        #expect(hasher.load == 0)
    }
}
