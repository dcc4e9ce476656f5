import Manifest
import Testing

@testable import Deploy

@Suite struct WorkloadTests {
    @Test(arguments: [false, true]) func everyFunctionIsInJustOneWorkload(perFunction: Bool) throws {
        let manifest = try Samples.product

        let workloads = try Workload.all(of: manifest, perFunction: perFunction)

        let hosted = workloads.flatMap { $0.functions.map(\.name) }
        #expect(hosted.sorted() == manifest.functions.map(\.name).sorted())
        #expect(workloads.count == (perFunction ? manifest.functions.count : 3))
    }

    @Test(arguments: [false, true]) func seesWhatItsFunctionsUseAndTheHostsOwn(perFunction: Bool) throws {
        let manifest = try Samples.product
        let anyones = Set(manifest.functions.flatMap(\.uses))
        let hosts = Set(manifest.variables.map(\.name)).subtracting(anyones).subtracting(["DATABASE_OWNER_URL"])

        for workload in try Workload.all(of: manifest, perFunction: perFunction) {
            let used = Set(workload.functions.flatMap(\.uses))
            #expect(Set(workload.variables.map(\.name)) == used.union(hosts), "\(workload.name)")
        }
    }

    @Test func runsOutTheLongestTimeoutBeforeItEnds() throws {
        let workloads = try Workload.all(of: Samples.product, perFunction: true)
        func drain(_ name: String) -> Int? { workloads.first { $0.name == name }?.drain }

        #expect(drain("add-recipients") == 615)
        #expect(drain("close-ticket") == 25)
        // Streams end at once.
        #expect(drain("stream-events") == 15)
    }

    @Test func onlyWorkersOfQueuesMayBeNone() throws {
        let workloads = try Workload.all(of: Self.manifest, perFunction: false)

        #expect(workloads.map(\.least) == [1, 0, 1])
        #expect(workloads[1].queues.map(\.name) == ["inbound"])
        #expect(workloads[1].queues.map(\.capacity) == [800])
    }

    @Test(arguments: ["gateway", "migrate", "postgres", "redis"]) func refusesAGroupNamedAsAnotherPart(name: String)
        throws
    {
        let manifest = try Manifest.parse(
            Self.text.replacing("work:", with: "\(name):").replacing("group: work", with: "group: \(name)")
        )

        #expect(throws: DeployFault.self) { try Workload.all(of: manifest, perFunction: false) }
    }

    @Test func aSecretIsNoSettingOfAFile() throws {
        let faults = [["JWT_SECRET": "x"], ["NOBODY": "x"], ["LOG_LEVEL": "loud"]].map { settings in
            #expect(throws: DeployFault.self) { try Samples.deployment(settings: settings) }?.description ?? ""
        }

        #expect(faults[0].contains("JWT_SECRET is a secret"))
        #expect(faults[1].contains("no variable NOBODY"))
        #expect(faults[2].contains("LOG_LEVEL is not one of"))
    }

    private static var manifest: Manifest {
        get throws { try Manifest.parse(text) }
    }

    private static let text = """
        version: 1
        name: sample
        groups:
          web: { scale: 0..2 }
          work: { scale: 0..5 }
          clock: { scale: 0..1 }
        queues: { inbound: {} }
        functions:
          get-thing: { handler: Things/GetThing, http: GET /things, access: public, group: web, timeout: 1s }
          take-things: { handler: Things/TakeThings, queue: inbound, batch: 200, concurrency: 4, group: work, timeout: 1s }
          end-things: { handler: Things/EndThings, schedule: "* * * * *", group: clock, timeout: 1s }
        """
}
