import Foundation
import Testing

@testable import Fleet

@Suite struct DoctorTests {
    /// A machine on which everything is as it should be, changed where the test says so.
    private func machine(_ change: (inout MachineFacts) -> Void = { _ in }) -> MachineFacts {
        var facts = MachineFacts()
        facts.swift = "Swift version 6.3.1 (swift-6.3.1-RELEASE)"
        facts.libraries = ["libpq": "15.20", "hiredis": "0.14.1", "libcrypto": "3.0.22"]
        facts.postgresVersions = ["15"]
        facts.clusterVersion = "15"
        facts.redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1"
        facts.hasSetpriv = true
        facts.secretsMode = 0o600
        facts.freeBytes = 50 << 30
        facts.descriptorLimit = 65536
        change(&facts)
        return facts
    }

    private func faults(_ change: (inout MachineFacts) -> Void) -> [String: Check.Verdict] {
        let faults = Doctor.judge(machine(change)).filter { $0.verdict != .good }
        return Dictionary(uniqueKeysWithValues: faults.map { ($0.title, $0.verdict) })
    }

    @Test func findsNothingWrongWithAGoodMachine() {
        let checks = Doctor.judge(machine())

        #expect(checks.allSatisfy { $0.verdict == .good && $0.remedy == nil })
        #expect(checks.map(\.title).count == Set(checks.map(\.title)).count)
    }

    @Test func saysHowToMendEveryFault() {
        let checks = Doctor.judge(MachineFacts()).filter { $0.verdict == .bad }

        #expect(checks.allSatisfy { $0.remedy != nil })
        #expect(
            Set(checks.map(\.title)).isSuperset(of: ["Swift", "libpq", "hiredis", "libcrypto", "PostgreSQL", "Redis"])
        )
    }

    @Test func needsNoServersOfItsOwnWhereOthersAreGiven() {
        let found = faults { facts in
            facts.postgresVersions = []
            facts.redis = nil
            facts.usesGivenDatabase = true
            facts.usesGivenRedis = true
        }

        #expect(found == [:])
    }

    @Test func seesAClusterThatNoInstalledServerCanRead() {
        #expect(faults { $0.clusterVersion = "14" } == ["PostgreSQL": .bad])
    }

    @Test func seesThatRootNeedsTheUserPostgres() {
        #expect(faults { $0.isRoot = true } == ["PostgreSQL": .bad])
        #expect(
            faults { facts in
                facts.isRoot = true
                facts.hasPostgresUser = true
            } == [:]
        )
    }

    @Test func seesATooOldToolchainAndServer() {
        #expect(faults { $0.swift = "Swift version 5.10.1 (swift-5.10.1-RELEASE)" } == ["Swift": .bad])
        #expect(faults { $0.redis = "Redis server v=5.0.7 sha=0" } == ["Redis": .bad])
    }

    @Test func seesATakenPortUnlessRunnerUpHasIt() {
        #expect(faults { $0.portUser = "pid 1 (node)" } == ["port 3000": .bad])
        #expect(faults { $0.lockHolder = StateLock.Holder(pid: 1, since: Date(), port: 3000) } == [:])
    }

    @Test func seesSecretsThatOthersCanRead() {
        #expect(faults { $0.secretsMode = 0o644 } == ["secrets": .bad])
    }

    @Test func seesAFullDisk() {
        #expect(faults { $0.freeBytes = 100 << 20 } == ["disk": .bad])
        #expect(faults { $0.freeBytes = 1 << 30 } == ["disk": .doubtful])
    }

    @Test func looksAtThisMachine() async throws {
        let folder = try TemporaryFolder()

        let environment = ProcessInfo.processInfo.environment
        let facts = await Doctor.look(at: StateFolder(root: folder.path), port: 3000, environment: environment)

        #expect(facts.swift?.contains("Swift version") == true)
        #expect(facts.libraries.count == 3)
        #expect(!facts.postgresVersions.isEmpty)
        #expect(facts.redis != nil)
        #expect(facts.freeBytes > 0)
    }
}
