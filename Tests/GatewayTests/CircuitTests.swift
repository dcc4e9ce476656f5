import NIOCore
import Testing

@testable import Gateway

@Suite struct CircuitTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test func opensAfterFailuresInARowThatLastedLongerThanARestart() {
        var circuit = Circuit(patience: .seconds(5))

        var opened: [Int64] = []
        for second in Int64(0)...6 {
            circuit.failed(at: start + .seconds(second))
            if circuit.isOpen { opened.append(second) }
        }

        #expect(opened == [5, 6])
    }

    @Test func staysClosedForFewFailuresAndForThoseBetweenSuccesses() {
        var (few, mixed) = (Circuit(patience: .zero), Circuit(patience: .zero))

        for second in Int64(0)..<4 { few.failed(at: start + .seconds(second)) }
        for second in Int64(0)..<20 {
            mixed.failed(at: start + .seconds(second))
            if second % 4 == 3 { mixed.succeeded() }
        }

        #expect(!few.isOpen)
        #expect(!mixed.isOpen)
        let admits = few.admits(at: start)
        #expect(admits)
    }

    @Test func letsOneAttemptThroughASecondAndClosesWhenItSucceeds() {
        var circuit = Circuit(patience: .zero)
        for _ in 0..<5 { circuit.failed(at: start) }

        let admitted = [0, 500, 1000, 1001, 1999, 2000].map { circuit.admits(at: start + .milliseconds($0)) }
        circuit.failed(at: start + .milliseconds(2001))
        let afterFailure = circuit.admits(at: start + .milliseconds(2500))
        circuit.succeeded()

        #expect(admitted == [false, false, true, false, false, true])
        #expect(!afterFailure)
        #expect(!circuit.isOpen)
    }
}
