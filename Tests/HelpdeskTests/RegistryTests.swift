import Functions
import Helpdesk
import Testing

@Suite struct RegistryTests {
    @Test func everyShapeDecodesItsOwnExample() {
        for function in Registry.functions {
            switch function.hosted {
            case .http(let endpoint): #expect(endpoint.faultsOfExamples() == [], "\(function.name)")
            case .queue(let worker): #expect(worker.faultsOfExamples() == [], "\(function.name)")
            case .schedule: break
            }
        }
    }
}
